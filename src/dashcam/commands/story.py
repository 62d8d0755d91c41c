"""Tell one request's whole story, by any id: of a request, a trace, a span, or by a label such as car_id=7.

A request ID that several requests had gives all of them. The story is looked up in the store of LOG_BACKEND.
"""

import argparse
import sys

from dashcam.cli import NOT_FOUND, OK
from dashcam.routes import open_store
from dashcam.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("id", help="a request, trace or span id, or label=value")
    parser.add_argument("--json", action="store_true", help="print the story as one JSON object")


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
    if arguments.json:
        import orjson

        print(orjson.dumps(as_json(story)).decode())
    else:
        from dashcam.commands.output import terminal_style
        from dashcam.show.terminal import draw

        print("\n".join(draw(story, terminal_style())))
    return OK
