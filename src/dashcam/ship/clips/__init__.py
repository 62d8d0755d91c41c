"""Decides which requests are kept, and finds the held lines of these."""
