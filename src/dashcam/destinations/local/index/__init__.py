"""The indexes by which events of a block are found and counted."""
