"""The public service that builds cars."""
