"""Tell one request's whole story, by any id: of a request, a trace, a span, or by a label such as car_id=7.

A request ID that several requests had gives all of them. The story is looked up in the store of LOG_BACKEND; below it
stand the addresses that show it in Kibana or in Loggly, where KIBANA_URL or LOGGLY_SUBDOMAIN is set. With --html it is
one page that needs nothing else, for a bug report; what looks like a secret is masked in it once more.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dashcam.cli import NOT_FOUND, OK
from dashcam.destinations.registry import links, load_settings, open_store
from dashcam.errors import DashcamError

if TYPE_CHECKING:
    from dashcam.event import Event
    from dashcam.show.story import Story


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("id", help="a request, trace or span id, or label=value")
    parser.add_argument("--json", action="store_true", help="print the story as one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the story as one HTML file")


def run(arguments: argparse.Namespace) -> int:
    """Print the story; exit status 1 when no event has the id."""
    from contextlib import closing

    from dashcam.find.related import find_related_events
    from dashcam.show.story import build_story

    settings = load_settings()
    with closing(open_store(settings.routes[0])) as store:
        events = find_related_events(store, arguments.id)
    if not events:
        print(f"dashcam: no event has the id {arguments.id!r} in {settings.routes[0]}", file=sys.stderr)
        return NOT_FOUND
    if arguments.html:
        _write_html(events, arguments.html)
    else:
        story = build_story(events)
        _print_story(story, links(settings.routes[0], story), is_json=arguments.json)
    return OK


def _print_story(story: "Story", links: dict[str, str], *, is_json: bool) -> None:
    if is_json:
        import orjson

        from dashcam.show.story import as_json

        print(orjson.dumps(as_json(story) | {"links": links}).decode())
    else:
        from dashcam.cli.output import terminal_style
        from dashcam.show.terminal import draw

        named = [f"{name.replace('_', ' ').capitalize()}: {link}" for name, link in links.items()]
        print("\n".join([*draw(story, terminal_style()), *named]))


def _write_html(events: "list[Event]", file: Path) -> None:
    from dashcam.record.masking import mask_event
    from dashcam.show.story import build_story
    from dashcam.show.web.page import render_file

    page = render_file(build_story(map(mask_event, events)), time.time_ns())
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as fault:
        raise DashcamError(f"{file} cannot be written: {fault.strerror}") from fault
    print(f"dashcam: {file} holds the story", file=sys.stderr)
