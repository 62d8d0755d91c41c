"""Show one request's whole story, by any ID: of a request, a trace, a span, or by a label such as car_id=7.

The first characters of an ID are enough where no other ID begins with them. A request ID that several requests had
shows all of them. The story is looked up in the store of LOG_BACKEND, or, with --held, in the spool of this machine,
held lines included. Below it are links to Kibana or Loggly, where KIBANA_URL or LOGGLY_SUBDOMAIN is set. --html writes
one page that needs nothing else, for a bug report; what looks like a secret is masked in it once more.
"""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.output import print_drawn, terminal_style
from dashcam.cli.spool_store import SpoolStore
from dashcam.destinations.registry import links, load_settings, open_store
from dashcam.errors import DashcamError, QueryError
from dashcam.find.query import Query
from dashcam.find.related import find_related_events, find_stories
from dashcam.show.recent import SERVED, story_id
from dashcam.show.story import as_json, build_story
from dashcam.show.terminal import draw

if TYPE_CHECKING:
    from dashcam.event import Event
    from dashcam.find.query import Store

MAX_LISTED = 5  # of the requests that an ID's first characters fit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("id", nargs="?", help="a request, trace or span ID, its first characters, or label=value")
    parser.add_argument("--last", action="store_true", help="the request that was served last")
    parser.add_argument("--held", action="store_true", help="look into the spool of this machine, held lines too")
    parser.add_argument("--local-time", action="store_true", help="print times of this time zone instead of UTC")
    parser.add_argument("--json", action="store_true", help="print the story as one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the story as one HTML file")


def run(arguments: argparse.Namespace) -> int:
    """Print the story; exit status 1 when no event has the ID, or the first characters of several."""
    arguments.id = (arguments.id or "").strip()
    if bool(arguments.id) == arguments.last:
        raise QueryError("Give an ID or --last, not both." if arguments.id else "Give an ID, or --last for the newest.")
    settings = load_settings()
    where = "the spool of this machine" if arguments.held else settings.routes[0]
    with closing(SpoolStore(settings.dir) if arguments.held else open_store(where)) as store:
        events = _find(store, arguments, where)
    if not events:
        return NOT_FOUND
    if arguments.html:
        _write_html(events, arguments.html)
    else:
        story = build_story(events)
        pages = {} if arguments.held else links(where, story)
        if arguments.json:
            print(orjson.dumps(as_json(story) | {"links": pages}).decode())
        else:
            print_drawn(draw(story, terminal_style(local_time=arguments.local_time)))
            for name, link in pages.items():
                print(f"{name.replace('_', ' ').capitalize()}: {link}")
    return OK


def _find(store: "Store", arguments: argparse.Namespace, route: str) -> "list[Event]":
    """Return the events of the story, or print why there are none."""
    if arguments.last:
        ids = [story_id(event) for event in store.find(Query(SERVED, limit=1))]
        if not ids:
            print(f"dashcam: no request is recorded in {route}", file=sys.stderr)
    elif events := find_related_events(store, arguments.id):
        return events
    else:
        ids = find_stories(store, arguments.id)
        if not ids:
            hint = f": a label is written {arguments.id.replace(':', '=', 1)}" if ":" in arguments.id else ""
            print(f"dashcam: no event has the ID {arguments.id!r} in {route}{hint}", file=sys.stderr)
        elif len(ids) > 1:
            several = ", ".join(ids[:MAX_LISTED]) + (", ..." if len(ids) > MAX_LISTED else "")
            print(f"dashcam: {arguments.id!r} begins the IDs of {len(ids)} requests: {several}", file=sys.stderr)
    return find_related_events(store, ids[0]) if len(ids) == 1 else []


def _write_html(events: "list[Event]", file: Path) -> None:
    from dashcam.record.masking.mask import mask_event
    from dashcam.show.story import build_story
    from dashcam.show.web.page import render_file

    page = render_file(build_story(map(mask_event, events)), time.time_ns())
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as fault:
        raise DashcamError(f"{file} cannot be written: {fault.strerror}") from fault
    print(f"dashcam: {file} has the story", file=sys.stderr)
