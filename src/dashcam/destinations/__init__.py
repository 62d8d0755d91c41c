"""Where events are shipped to and found again: one folder a destination, one registry."""
