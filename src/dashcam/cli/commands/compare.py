"""Show two stories side by side: spans that one of them lacks, that took longer, and values that differ.

Examples:
  dashcam compare 0193a1b2-c3d4-7e5f-8601-020304050607
  dashcam compare ID_OF_A_GOOD_ONE ID_OF_A_FAILED_ONE --json

With one ID, the other story is the nearest of the same route with the opposite outcome; the good one is on the left. A
row that only the left story has begins with a minus, one that only the right story has with a plus, and one that
differs with an exclamation mark.

"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.output import print_rows
from dashcam.destinations.registry import load_settings, open_store
from dashcam.errors import QueryError
from dashcam.find.query import Store
from dashcam.find.related import find_related_events, find_stories
from dashcam.show.comparison import as_json, compare, draw_comparison, find_partner
from dashcam.show.story import Story, build_story


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="a request, trace or span ID, or label=value; at most two")
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison; exit status 1 when a story is not found, or there is none to compare it with."""
    settings = load_settings()
    if len(arguments.ids) > 2:
        raise QueryError(f"Two stories can be compared, not {len(arguments.ids)}.")
    with closing(open_store(settings.routes[0])) as store:
        stories = list(_find_pair(store, arguments.ids))
    if len(stories) < 2:
        return NOT_FOUND
    first, second = stories
    pairs = compare(first, second)
    print_rows(map(as_json, pairs), draw_comparison(first, second, pairs), is_json=arguments.json)
    return OK


def _find_pair(store: Store, ids: list[str]) -> Iterator[Story]:
    """Yield both stories, or fewer after an explanation."""
    story = _find(store, ids[0])
    if story is None:
        return
    if len(ids) == 2:
        yield story
        other = _find(store, ids[1])
        yield from [other] if other else []
        return
    partner = find_partner(store, story)
    if partner is None:
        how = "failed" if story.outcome == "success" else "ended well"
        print(f"dashcam: no other story of the route of {ids[0]!r} {how}", file=sys.stderr)
        return
    other = build_story(find_related_events(store, partner))
    yield from (story, other) if story.outcome == "success" else (other, story)


def _find(store: Store, any_id: str) -> Story | None:
    events = find_related_events(store, any_id)
    if not events and len(ids := find_stories(store, any_id)) == 1:
        events = find_related_events(store, ids[0])
    if not events:
        print(f"dashcam: no event has the ID {any_id!r}", file=sys.stderr)
    return build_story(events) if events else None
