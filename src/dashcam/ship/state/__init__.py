"""The state of the shipper on disk: its progress, rejected events, the account of removed segments, and its lock."""
