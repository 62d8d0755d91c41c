"""Time to find one request among millions of events, and of searches, in the local store and as a whole command.

Every look-up but one opens the file anew, as a command does. The file is made first, unless the folder has it.

    python -m benchmarks.lookup [--events 1000000 3000000] [--rounds 50] [--folder DIR]
"""

import argparse
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict
from benchmarks.traffic import EVENTS_A_REQUEST, Request, requests

from dashcam.destinations.local.backend import connect
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search.store import open_store
from dashcam.event import NS_PER_S
from dashcam.find.language import parse
from dashcam.find.query import Query
from dashcam.find.related import find_related_events

TRACE = "dashcam trace, lines"
NEWEST = 100  # what a search prints unless told otherwise
BATCH = 1_000

FULL_TEXT = {
    "a phrase in one of 700": '"database timed out"',
    "a phrase in one of 7": '"car created"',
    "a word nowhere": "nosuchword",
}
BY_FIELDS = {"two fields": "service:parts level:error", "slow and failed": "duration:>800ms status:>=500"}


def fill(settings: Options, events: int) -> None:
    """Ship the events."""
    local, lines = connect(settings), []
    started_s = time.perf_counter()
    for request in traffic(events):
        lines += request.lines
        if len(lines) >= BATCH:
            local.ship(lines)
            lines = []
    local.ship(lines)
    local.close()
    print(f"made in {time.perf_counter() - started_s:.0f} s")


def traffic(events: int):
    """The requests, the same for the same number of events."""
    return requests(events // EVENTS_A_REQUEST, 1_795_400_000 * NS_PER_S)


def some(events: int, count: int) -> list[Request]:
    """Requests out of the whole, at random places."""
    places = set(random.Random(3).sample(range(events // EVENTS_A_REQUEST), count))
    return [request for place, request in enumerate(traffic(events)) if place in places]


def timed(look: Callable[[], list]) -> dict[str, float]:
    """Milliseconds of one look-up, also of processor time, and how many events it gave."""
    started_s, used_s = time.perf_counter(), time.process_time()
    found = look()
    took_s, used_s = time.perf_counter() - started_s, time.process_time() - used_s
    return {"ms": 1000 * took_s, "CPU ms": 1000 * used_s, "events": len(found)}


def ways(settings: Options, wanted: list[Request]) -> dict[str, Callable[[], dict[str, float]]]:
    """The look-ups, each of another request every time."""
    chance = random.Random(4)

    kept = open_store(settings)

    def found_again() -> list:
        return list(kept.find(Query(parse(f"request:{chance.choice(wanted).request_id}"))))

    def found(query: Query) -> list:
        with closing(open_store(settings)) as store:
            return list(store.find(query))

    def story(any_id: str) -> list:
        with closing(open_store(settings)) as store:
            return find_related_events(store, any_id)

    def by_field(name: str, attribute: str) -> Callable[[], dict[str, float]]:
        def look() -> list:
            value = getattr(chance.choice(wanted), attribute)
            return found(Query(parse(f"{name}:{value}")))

        return lambda: timed(look)

    def search(text: str) -> Callable[[], dict[str, float]]:
        query = Query(parse(text), limit=NEWEST)
        return lambda: timed(lambda: found(query))

    return {
        "a request ID": by_field("request", "request_id"),
        "a request ID, the file open": lambda: timed(found_again),
        "a trace id": by_field("trace", "trace_id"),
        "a label": by_field("car_id", "car_id"),
        "a story, by any id": lambda: timed(lambda: story(chance.choice(wanted).request_id)),
        **{f"newest {NEWEST} of {name}": search(text) for name, text in (FULL_TEXT | BY_FIELDS).items()},
    }


def trace(settings: Options, request: Request) -> dict[str, float]:
    """Milliseconds of `dashcam trace` as a whole process, also of processor time, and how many lines it drew."""
    environment = {**os.environ, "DASHCAM_DIR": str(settings.dir), "LOG_BACKEND": "local"}
    command = [str(Path(sys.executable).with_name("dashcam")), "trace", request.request_id]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    took_s, after = time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"ms": 1000 * took_s, "CPU ms": 1000 * used_s, "events": len(done.stdout.splitlines())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 3_000_000], help="sizes of the store")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where the files are made, and stay")
    parser.add_argument("--quick", action="store_true", help="100,000 events, 12 rounds")
    given = parser.parse_args()
    if given.quick:
        given.events, given.rounds = [100_000], 12
    print_machine("orjson")
    with tempfile.TemporaryDirectory() as folder:
        home = given.folder or Path(folder)
        kept = [is_kept for events in given.events for is_kept in measure(home / str(events), events, given.rounds)]
    return verdict(kept)


def measure(folder: Path, events: int, rounds: int) -> list[bool]:
    """Whether the promises are kept among so many events."""
    settings = Options(dir=folder, retention_days=36_500)
    if not (folder / "events.db").exists():
        fill(settings, events)
    size = (folder / "events.db").stat().st_size
    print(f"{events:,} events, {size / events:.0f} bytes each, SQLite {sqlite3.sqlite_version}")
    wanted = some(events, 100)
    figures = interleave(rounds, ways(settings, wanted))
    figures |= interleave(rounds // 3, {TRACE: lambda: trace(settings, random.choice(wanted))})
    print_table(figures)
    return [*judged(figures, f"among {events:,} events")]


def judged(figures, among):
    yield judge(f"ms to find a request ID {among} in the local store", middle(figures["a request ID"], "ms"), at_most=1)
    slowest = max(middle(figures[f"newest {NEWEST} of {name}"], "ms") for name in FULL_TEXT)
    yield judge(f"ms of the slowest full-text search {among} in the local store", slowest, at_most=5)
    yield judge(f"ms of dashcam trace {among} as a whole process", middle(figures[TRACE], "ms"), at_most=200)


if __name__ == "__main__":
    sys.exit(main())
