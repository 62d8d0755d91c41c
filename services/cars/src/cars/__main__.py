"""`python -m cars` is the command `cars`."""

from cars.cli import main

main()
