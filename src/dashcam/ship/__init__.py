"""Reads the spool and brings every event to its destination, in a process of its own."""
