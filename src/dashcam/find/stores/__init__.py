"""The places events are found in, one a file: each module has `open_store(settings) -> Store`."""
