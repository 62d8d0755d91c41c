"""The internal service that makes the parts of a car."""
