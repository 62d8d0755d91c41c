"""The stack one runs oneself, at its worst."""
