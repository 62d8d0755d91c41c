"""Calls that a process makes, and what carries a story into threads and processes."""
