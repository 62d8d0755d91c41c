"""Searches over the file of the local store."""
