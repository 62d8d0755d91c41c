"""Spans of time on the command line: `30m`, `24h`, `7d`, or a moment such as `2026-11-24T01:35:00Z`."""

import argparse
import re
import time

from dashcam.event import NS_PER_S, parse_time

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: str) -> int:
    """A moment in nanoseconds since the epoch, given as a time or as how long ago it was; for argparse."""
    if match := re.fullmatch(r"([0-9]{1,9})([smhdw])", text):
        return time.time_ns() - int(match[1]) * _UNITS_S[match[2]] * NS_PER_S
    try:
        return parse_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a time nor an age such as 30m, 24h or 7d") from None
