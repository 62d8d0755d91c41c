"""Periods on the command line: `30m`, `24h`, `7d`, or a time such as `2026-11-24T01:35:00Z`."""

import argparse
import re
import sys
import time

from dashcam.errors import QueryError
from dashcam.event import NS_PER_S, parse_time

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Moment(int):
    """A time in nanoseconds since the epoch; `text` is as it was given."""

    text: str


def moment(text: str) -> Moment:
    """Read a moment, given as a time or as an age, which reaches back to 1970 at most; for argparse."""
    if match := re.fullmatch(r"([0-9]{1,9})([smhdw])", text):
        found = Moment(max(0, time.time_ns() - int(match[1]) * _UNITS_S[match[2]] * NS_PER_S))
    else:
        try:
            found = Moment(parse_time(text))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a time nor an age such as 30m, 24h or 7d") from None
    found.text = text
    return found


def add_period(parser: argparse.ArgumentParser, since: str) -> None:
    """Add `--since`, with what it is unless given, and `--until`."""
    parser.add_argument(
        "--since", type=moment, default=since, metavar="WHEN", help=f"an age as 1h, or a time ({since})"
    )
    parser.add_argument("--until", type=moment, metavar="WHEN", help="likewise; now unless given")


def read_period(arguments: argparse.Namespace) -> tuple[int, int]:
    """Return the period that was given; raises `QueryError` for one that is empty."""
    check_period(arguments.since, arguments.until)
    return arguments.since, arguments.until or time.time_ns()


def since_phrase(since: Moment) -> str:
    """Return the start of a period in words: `in the last 24h`, or `since 2026-11-24T01:35:00Z`."""
    return f"in the last {since.text}" if re.fullmatch(r"\d+[smhdw]", since.text) else f"since {since.text}"


def report_nothing(what: str, arguments: argparse.Namespace) -> None:
    """Print that a period has none of what was asked for."""
    matches = " matches" if arguments.query else ""
    print(f"dashcam: no {what} {since_phrase(arguments.since)}{matches}", file=sys.stderr)


def check_period(since: Moment, until: Moment | None) -> None:
    """Raise `QueryError` for a period that is empty, or that has not begun."""
    if until is not None and until <= since:
        raise QueryError(f"The period is empty: --since {since.text} is not before --until {until.text}.")
    if since > time.time_ns():
        raise QueryError(f"The period is empty: --since {since.text} is in the future.")
