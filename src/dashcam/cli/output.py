"""The way commands write: drawings in colour to a terminal, plain into a pipe or a file, and JSON Lines."""

import shutil
import sys
from collections.abc import Iterable

from dashcam.cli.door import Door
from dashcam.event import Event
from dashcam.settings import wants_no_colour
from dashcam.show.ansi import Style, StyledText, style_for
from dashcam.show.terminal import draw_event


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


def print_events(events: Iterable[Event], *, is_json: bool, local_time: bool = False) -> int:
    """Print events as they come, one a line; return how many there were.

    A terminal shows each at once; into a pipe or a file they go some at a time.
    """
    style, is_terminal = terminal_style(local_time=local_time), sys.stdout.isatty()
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
