"""Log calls of this library, of `logging` and of others become lines."""
