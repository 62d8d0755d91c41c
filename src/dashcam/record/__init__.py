"""Turns log calls and finished spans into lines of the spool, on the calling thread."""
