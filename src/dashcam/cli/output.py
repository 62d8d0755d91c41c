"""How commands write: in colour to a terminal, plain into a pipe or a file."""

import shutil
import sys
from collections.abc import Iterable

from dashcam.event import Event
from dashcam.settings import wants_no_colour
from dashcam.show.ansi import Style, style_for
from dashcam.show.terminal import draw_event


def terminal_style() -> Style:
    """The style of standard output; `NO_COLOR` (no-color.org) turns the colour off."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    return style_for(sys.stdout, width, colour=is_terminal and not wants_no_colour())


def print_events(events: Iterable[Event], *, is_json: bool) -> int:
    """Print events as they come, one a line; how many there were."""
    style = terminal_style()
    printed = 0
    for event in events:
        print(event.to_json().decode() if is_json else draw_event(event, style), flush=True)
        printed += 1
    return printed
