"""Ship what is held of a request now, by any ID that dashcam trace accepts: of a request, a trace, a span, or a label.

The ID is looked up in the spool of this machine, then in the store of LOG_BACKEND. For DASHCAM_HOLD, later lines of the
request are shipped at once, and other hosts ship what they hold of it. With --header, print the header that asks a
service to keep its request, signed with DASHCAM_CLIP_KEY.

Examples:
  dashcam keep car_id=7
  curl -H "$(dashcam keep --header 10m)" http://127.0.0.1:5000/cars

"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.spool_store import SpoolStore
from dashcam.destinations import registry
from dashcam.destinations.registry import load_settings, open_store
from dashcam.errors import DashcamError, QueryError, SettingsError, StoreUnreachable
from dashcam.find.query import Store
from dashcam.find.related import find_related_events, find_stories
from dashcam.settings import RecordSettings, Settings, load, read_duration
from dashcam.ship.clips.clip_journal import ask, load_clips
from dashcam.ship.state import checkpoint
from dashcam.ship.state.heartbeat import read_heartbeat

WAIT_S = 10.0  # for the shipper to take the request
SETTLE_S = 2.0  # until what came with the clip is counted
PAUSE_S = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("id", nargs="?", help="a request, trace or span ID, its first characters, or label=value")
    parser.add_argument("--header", metavar="AGE", help="print a header that asks for it, good for such a time (10m)")


def run(arguments: argparse.Namespace) -> int:
    """Ask the shipper for the request, and wait for what it brings; exit status 1 when nothing has the ID."""
    if bool(arguments.id) == bool(arguments.header):
        raise QueryError("Give an ID, or --header: dashcam keep ID")
    settings = load_settings()
    if arguments.header:
        _print_header(arguments.header)
        return OK
    if not settings.ship_level and not _has_held(settings):
        raise SettingsError("nothing is held here: DASHCAM_SHIP_LEVEL is not set, so everything is shipped.")
    requests = _requests(settings, arguments.id)
    if not requests:
        print(f"dashcam: no request has the ID {arguments.id!r}, here or in {settings.routes[0]}", file=sys.stderr)
        return NOT_FOUND
    asked = [ask(settings.dir, route, request) for route in settings.routes for request in requests]
    if not read_heartbeat(settings.dir).is_at_work:
        print("dashcam: no shipper is at work here; the next one keeps it: dashcam ship", file=sys.stderr)
        return OK
    until_s = time.monotonic() + WAIT_S
    while any(path.exists() for path in asked):
        if time.monotonic() > until_s:
            raise DashcamError(
                f"the shipper did not accept the request within {WAIT_S:.0f} s; dashcam status says more"
            )
        time.sleep(PAUSE_S)
    for line in _lines(settings, requests):
        print(line)
    return OK


def _has_held(settings: Settings) -> bool:
    """Return whether a shipper held something here, whose level need not be set in this terminal."""
    checkpoints = checkpoint.load(settings.dir / "positions").values()
    return any(each.left_held(segment) for each in checkpoints for segment in each.marks)


def _print_header(age: str) -> None:
    # Late: only this needs the recorder's imports.
    from dashcam.record.logs.keep import HEADER, sign

    key = load(RecordSettings).clip_key
    if not key:
        raise SettingsError("DASHCAM_CLIP_KEY is not set: services ignore the header.")
    try:
        until_s = time.time() + read_duration(age)
    except ValueError as fault:
        raise QueryError(f"--header {age} cannot be used: expected {fault}.") from None
    print(f"{HEADER}: {sign(key, int(until_s) + 1)}")


def _requests(settings: Settings, any_id: str) -> list[str]:
    """Return the request IDs that an ID means, by the spool of this machine, else by the store."""
    with closing(SpoolStore(settings.dir)) as spool:
        if found := _requests_in(spool, any_id):
            return found
    route = settings.routes[0]
    if registry.get(route).store is None:
        return []
    try:
        with closing(open_store(route)) as store:
            return _requests_in(store, any_id)
    except StoreUnreachable as fault:
        print(f"dashcam: {fault}", file=sys.stderr)
        return []


def _requests_in(store: Store, any_id: str) -> list[str]:
    events = find_related_events(store, any_id)
    if not events and len(ids := find_stories(store, any_id)) == 1:
        events = find_related_events(store, ids[0])
    return list(dict.fromkeys(str(request) for event in events if (request := event.get("http.request.id"))))


def _lines(settings: Settings, requests: list[str]) -> Iterator[str]:
    """Yield a line for each clip, once its lines have come, or none did for a moment."""
    for route in settings.routes:
        for request in requests:
            until_s = time.monotonic() + SETTLE_S
            clip = load_clips(settings.dir, route).clips[request]
            while not clip.is_told and time.monotonic() < until_s:
                time.sleep(PAUSE_S)
                clip = load_clips(settings.dir, route).clips[request]
            lost = f", incomplete: {clip.expired:,} expired" if clip.expired else ""
            lines = f"{clip.lines:,} held line{'s' * (clip.lines != 1)}"
            yield f"{route}: {request} kept, {lines}, {clip.bytes / 1000:,.1f} kB{lost}"
