"""The version that every event and every request to a backend carries."""

__version__ = "0.1.0"
