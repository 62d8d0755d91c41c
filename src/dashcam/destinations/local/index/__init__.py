"""What the events of a block are found and counted by."""
