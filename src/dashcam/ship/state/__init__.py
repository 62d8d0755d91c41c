"""Keeps on disk what the shipper knows: its progress, the rejected events, what was removed, and its lock."""
