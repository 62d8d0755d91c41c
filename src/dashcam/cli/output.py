"""The way commands write: drawings in colour to a terminal, plain into a pipe or a file, and JSON Lines."""

import shutil
import sys
from collections.abc import Iterable
from typing import Any

import orjson

from dashcam.cli.door import Door
from dashcam.event import Event
from dashcam.settings import wants_no_colour
from dashcam.show.ansi import Style, StyledText, style_for
from dashcam.show.terminal import draw_event

AT_ONCE = 64  # JSON lines that are written together: about what a pipe holds


def terminal_style(*, local_time: bool = False) -> Style:
    """Return the style of standard output; `NO_COLOR` (no-color.org) turns the colour off."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    return style_for(sys.stdout, width, colour=is_terminal and not wants_no_colour(), local_time=local_time)


def print_drawn(lines: Iterable[str]) -> None:
    """Print the lines of a drawing."""
    write = sys.stdout.write_drawn if isinstance(sys.stdout, Door) else sys.stdout.write
    for line in lines:
        write(f"{line}\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of plain text, made harmless, in the characters that standard output has."""
    style = terminal_style()
    print_drawn(style.write([StyledText(line)]) for line in lines)


def print_rows(rows: Iterable[dict[str, Any]], drawing: Iterable[str], *, is_json: bool) -> None:
    """Print rows as JSON Lines, or what is drawn of them for a person."""
    if is_json:
        for row in rows:
            print(orjson.dumps(row).decode())
    else:
        print_lines(drawing)


def print_events(events: Iterable[Event], *, is_json: bool, local_time: bool = False) -> int:
    """Print events as they come, one a line; return how many there were.

    A terminal shows each at once; into a pipe or a file they go some at a time.
    """
    style, is_terminal = terminal_style(local_time=local_time), sys.stdout.isatty()
    if is_json and not is_terminal:
        return _print_json(events)
    printed = 0
    for event in events:
        if is_json:
            sys.stdout.write(f"{event.to_json().decode()}\n")
        else:
            print_drawn([draw_event(event, style)])
        if is_terminal:
            sys.stdout.flush()
        printed += 1
    sys.stdout.flush()
    return printed


def _print_json(events: Iterable[Event]) -> int:
    """Print events as JSON Lines, some at once; also those before a fault."""
    printed, lines = 0, list[bytes]()
    try:
        for printed, event in enumerate(events, 1):  # noqa: B007
            lines.append(event.to_json())
            if len(lines) == AT_ONCE:
                some, lines = lines, []
                _write_lines(some)
    finally:
        _write_lines(lines)
    sys.stdout.flush()
    return printed


def _write_lines(lines: list[bytes]) -> None:
    if lines:
        sys.stdout.write(b"\n".join([*lines, b""]).decode())
