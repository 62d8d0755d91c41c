"""Tell one request's whole story, by any id: of a request, a trace, a span, or by a label such as car_id=7.

A request ID that several requests had gives all of them. The story is looked up in the store of LOG_BACKEND. With
--html it is one page that needs nothing else, for a bug report; what looks like a secret is masked in it once more.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dashcam.cli import NOT_FOUND, OK
from dashcam.errors import DashcamError
from dashcam.routes import open_store
from dashcam.settings import Settings

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

    from dashcam.find.story_events import events_of
    from dashcam.show.story import as_json, tell

    settings = Settings.load()
    with closing(open_store(settings.routes[0], settings)) as store:
        events = events_of(store, arguments.id)
    if not events:
        print(f"dashcam: no event has the id {arguments.id!r} in {settings.routes[0]}", file=sys.stderr)
        return NOT_FOUND
    story = tell(events)
    if arguments.html:
        _write_html(events, arguments.html)
    elif arguments.json:
        import orjson

        print(orjson.dumps(as_json(story)).decode())
    else:
        from dashcam.commands.output import terminal_style
        from dashcam.show.terminal import draw

        print("\n".join([*draw(story, terminal_style()), *_links(story, settings)]))
    return OK


def _links(story: "Story", settings: Settings) -> list[str]:
    """Where the store's own pages show the story."""
    route = settings.routes[0]
    if route in {"elk", "elasticsearch"} and settings.kibana_url:
        from dashcam.show import kibana_link

        return [f"Kibana {name}: {url}" for name, url in kibana_link.story_links(story, settings.kibana_url).items()]
    if route == "loggly" and settings.loggly_subdomain:
        from dashcam.show import loggly_link

        return [f"Loggly: {loggly_link.story_link(story, settings.loggly_subdomain)}"]
    return []


def _write_html(events: "list[Event]", file: Path) -> None:
    from dashcam.record.masking import mask_event
    from dashcam.show.story import tell
    from dashcam.show.web.page import render_file

    page = render_file(tell(map(mask_event, events)), time.time_ns())
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as fault:
        raise DashcamError(f"{file} cannot be written: {fault.strerror}") from fault
    print(f"dashcam: {file} holds the story", file=sys.stderr)
