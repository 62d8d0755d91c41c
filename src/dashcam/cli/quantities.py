"""Numbers on the command line, for argparse: counts, ports and seconds."""

import argparse

MAX_PORT = 65_535


def count(text: str) -> int:
    """Read a whole number that is not negative."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 20")
    return int(text)


def port(text: str) -> int:
    """Read the number of a port; 0 stands for any free one."""
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to {MAX_PORT}")
    return int(text)


def seconds(text: str) -> float:
    """Read a number of seconds that is above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
