"""The destinations, one a file: each module has `connect(settings) -> Backend`."""
