"""Reads the spool from the offsets of a route on."""
