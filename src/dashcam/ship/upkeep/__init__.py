"""Syncs the spool to the disk, and removes delivered segments before it is full."""
