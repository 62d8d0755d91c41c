"""`python -m parts` is the command `parts`."""

from parts.cli import main

main()
