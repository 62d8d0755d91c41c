"""Setting a stack up."""
