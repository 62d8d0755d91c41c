"""The version that every event and every request to a backend carries."""

VERSION = "0.1.0"
