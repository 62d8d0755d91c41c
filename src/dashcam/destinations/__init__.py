"""The places that events are shipped to and found in: one folder a destination, one registry."""
