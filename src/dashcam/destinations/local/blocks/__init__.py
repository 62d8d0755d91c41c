"""The file of the local store: its format, and events written into it as blocks."""
