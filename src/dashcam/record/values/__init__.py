"""Turns any value into one that a line can hold."""
