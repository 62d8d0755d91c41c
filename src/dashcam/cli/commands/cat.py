"""Print the events of the spool, delivered or not: one JSON object a line, oldest segment first.

With --raw, print the lines as they are in the files, start marks included.
"""

import argparse
import sys
from pathlib import Path

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations.registry import load_settings
from dashcam.errors import DashcamError
from dashcam.spool.line import LineExpander, is_start
from dashcam.spool.reader import SegmentReader, segment_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("segment", nargs="*", type=Path, help="segment files; else all below DASHCAM_DIR")
    parser.add_argument("--raw", action="store_true", help="the lines as they stand in the files")


def run(arguments: argparse.Namespace) -> int:
    """Print every line that can be read; exit status 1 when a file, or a place in one, could not."""
    paths = arguments.segment or segment_files(load_settings().dir / "spool")
    damaged = unread = 0
    for path in paths:
        try:
            damaged += _print_segment(path, is_raw=arguments.raw)
        except DashcamError as fault:
            print(f"dashcam: {fault}", file=sys.stderr)
            unread += 1
    if damaged:
        print(f"dashcam: {damaged} damaged places skipped", file=sys.stderr)
    if damaged or unread:
        print("dashcam: dashcam repair looks for more damage, and moves such files to quarantine/", file=sys.stderr)
    return NOT_FOUND if damaged or unread else OK


def _print_segment(path: Path, *, is_raw: bool) -> int:
    """Print a segment; the number of places in it that are no lines."""
    try:
        reader = SegmentReader(path)
    except OSError as fault:
        raise DashcamError(f"{path} cannot be read: {fault.strerror}") from None
    except ValueError:
        raise DashcamError(f"{path} is not a segment of a spool") from None
    damaged = 0
    with reader:
        expander = LineExpander(reader.header)
        for passage in reader.passages(is_final=reader.is_final()):
            damaged += passage.damaged
            for line, after in passage.lines:
                if is_raw:
                    print(line.decode(errors="replace"))
                elif not is_start(line):
                    print(expander.expand(line, after.sequence).data.decode(errors="replace"))
    return damaged
