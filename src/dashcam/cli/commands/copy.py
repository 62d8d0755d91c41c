"""Copy history: send the events of a store to a backend, oldest first.

Examples:
  dashcam copy --from local --to loggly --since 7d
  dashcam copy --from loggly --to elasticsearch --since 30d --query service:cars

Events that the backend's own store has already are left out, so nothing is doubled. After a stop or a kill, the same
command continues where it was. Rejected events go to the dead letters, for `dashcam replay`.

"""

import argparse
import hashlib
import select
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.period import check_period, moment
from dashcam.cli.query import parse_words
from dashcam.destinations.registry import connect, get, known, load_settings, open_store
from dashcam.errors import SettingsError
from dashcam.event import NS_PER_S, EncodedEvent, Event
from dashcam.find.query import Query
from dashcam.settings import Settings
from dashcam.ship.delivery import Delivery, batches
from dashcam.ship.own_log import logged_to_stderr
from dashcam.ship.signals import set_by_signals
from dashcam.ship.state.dead_letters import DeadLetters
from dashcam.ship.state.journal import replace_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--from", required=True, dest="source", metavar="ROUTE", help="whose store is read")
    parser.add_argument("--to", required=True, metavar="ROUTE", help="whose backend gets the events")
    parser.add_argument("--since", required=True, type=moment, metavar="WHEN", help="an age as 7d, or a time")
    parser.add_argument("--until", type=moment, metavar="WHEN", help="likewise; now unless given")
    parser.add_argument("--query", default="", help="what to copy, as in dashcam search; everything unless given")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Copy; exit status 1 when it was stopped, or events were refused."""
    settings = load_settings()
    for option, route in (("--from", arguments.source), ("--to", arguments.to)):
        if route not in known():
            raise SettingsError(f"{option} {route!r} is not a destination. Known: {', '.join(known())}.")
    if get(arguments.source).store is None:
        raise SettingsError(f"--from {arguments.source}: this destination cannot be searched.")
    check_period(arguments.since, arguments.until)
    bookmark = Bookmark.of(settings.dir, arguments)
    since_ns = max(arguments.since, bookmark.time_ns)
    query = Query(parse_words([arguments.query]), since_ns, arguments.until or time.time_ns())
    with ExitStack() as stack:
        source = stack.enter_context(closing(open_store(arguments.source)))
        events: Iterable[Event] = bookmark.rest_of(source.find(query))
        if get(arguments.to).store:
            target = stack.enter_context(closing(open_store(arguments.to)))
            events = missing(events, target.find(query))
        count = _copy(events, bookmark, query, arguments, settings)
    if arguments.json:
        print(orjson.dumps(count._asdict()).decode())
    else:
        # Standard output may be where the events went.
        print(f"dashcam: copied {count.copied:,} events from {arguments.source} to {arguments.to}", file=sys.stderr)
        if count.dead:
            print(f"dashcam: {count.dead:,} were rejected; dashcam replay sends them again", file=sys.stderr)
        if count.is_stopped:
            print("dashcam: stopped; run the same command to continue", file=sys.stderr)
    return NOT_FOUND if count.dead or count.is_stopped else OK


class Bookmark(NamedTuple):
    """The position of a copy: its `since`, and the last event that was copied."""

    path: Path
    since_ns: int
    time_ns: int = 0
    id: str = ""

    @classmethod
    def of(cls, folder: Path, arguments: argparse.Namespace) -> "Bookmark":
        """Return the bookmark of an unfinished run of the same copy that began no later, else a new one."""
        what = hashlib.sha256(arguments.query.encode()).hexdigest()[:8]
        path = folder / "copies" / f"{arguments.source}-{arguments.to}-{what}.json"
        try:
            former = cls(path, *orjson.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return cls(path, arguments.since)
        return former if former.since_ns <= arguments.since else cls(path, arguments.since)

    def rest_of(self, events: Iterable["Event"]) -> Iterator["Event"]:
        """Yield the events after it."""
        return (event for event in events if (event.time_ns, event.id) > (self.time_ns, self.id))

    def move(self, line: "EncodedEvent") -> None:
        """Put it behind an event, in one step."""
        replace_file(self.path, orjson.dumps([self.since_ns, Event.from_json(line.data).time_ns, line.id]))


class Count(NamedTuple):
    """The result of a copy."""

    copied: int = 0
    dead: int = 0
    is_stopped: bool = False


def missing(events: Iterable["Event"], present: Iterable["Event"]) -> Iterator["Event"]:
    """The events that are not present; both come oldest first, by time and id."""
    others = iter(present)
    other = next(others, None)
    for event in events:
        place = (event.time_ns, event.id)
        while other is not None and (other.time_ns, other.id) < place:
            other = next(others, None)
        if other is None or (other.time_ns, other.id) != place:
            yield event


def _copy(
    events: Iterable["Event"], bookmark: Bookmark, query: "Query", arguments: argparse.Namespace, settings: Settings
) -> Count:
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(logged_to_stderr())
        stack.enter_context(set_by_signals(stopping))
        backend = stack.enter_context(closing(connect(arguments.to)))
        letters = DeadLetters(settings.dir / "dead-letters", f"copy-{arguments.to}")
        delivery = Delivery(arguments.to, backend, letters, stopping, _end_without_reader)
        lines = _with_progress(events, query, is_shown=not arguments.json)
        count = Count()
        for batch in batches(lines, backend.limits):
            outcome = delivery.deliver(batch)
            count = Count(count.copied + outcome.delivered, count.dead + outcome.dead, bool(outcome.rest))
            if count.is_stopped:
                return count
            bookmark.move(batch[-1])
        bookmark.path.unlink(missing_ok=True)
        return count


def _end_without_reader(trouble: str | None) -> None:
    """Raise `BrokenPipeError` when standard output, where the events may go, is a pipe that nobody reads any more."""
    if trouble is None:
        return
    poll = select.poll()
    poll.register(1, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError


def _with_progress(events: Iterable["Event"], query: "Query", *, is_shown: bool) -> Iterator["EncodedEvent"]:
    """The events as lines; how far they have come is shown by their time, since nobody knows their number."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own: the bar moves with every event
    terminal = getattr(sys.stderr, "stream", sys.stderr)  # a bar returns to the start of its line
    begin_ns = None
    bar_format = "{percentage:3.0f} % of the time |{bar}| {n_fmt} s{postfix}, {elapsed} so far"
    with tqdm(file=terminal, bar_format=bar_format, disable=None if is_shown else True) as bar:
        for number, event in enumerate(events, 1):
            if begin_ns is None:
                begin_ns = event.time_ns
                bar.reset(total=max(1, ((query.until_ns or begin_ns) - begin_ns) // NS_PER_S))
            bar.set_postfix_str(f"{number:,} events", refresh=False)
            bar.update((event.time_ns - begin_ns) // NS_PER_S - bar.n)
            yield EncodedEvent(event.id, event.is_span, event.to_json())
        bar.update((bar.total or 0) - bar.n)
