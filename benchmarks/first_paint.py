"""How soon the viewer's pages are there over a local store of ten million events of a day.

Each page is asked for as a browser asks for it, and the first page opened in a real Chromium, without its graphics
card. The store is made through its backend, which takes minutes; --dir keeps it for the next run.

    python -m benchmarks.first_paint [--events 10000000] [--dir FOLDER] [--rounds 5]
"""

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict
from benchmarks.traffic import EVENTS_A_REQUEST, requests
from benchmarks.viewer import TIMES
from playwright.sync_api import sync_playwright
from tests.show.shelf import viewing

from dashcam.destinations.local.backend import connect
from dashcam.destinations.local.options import Options
from dashcam.destinations.local.search import store as local
from dashcam.find.language import parse
from dashcam.find.related import find_related_events
from dashcam.show.web.app import create_app
from dashcam.show.web.finder import Finder

DAY_NS = 86_400 * 10**9
BATCH = 2000
LIMIT_BYTES = 8_000_000_000

MAX_FIRST_PAINT_MS = 300

PAGES = {
    "overview, 1 h": "/?since=1h",
    "overview, 24 h": "/?since=24h",
    "histogram and values, 1 h": "/summary?of=events&since=1h",
    "histogram and values, 24 h": "/summary?of=events&since=24h",
    "the same of requests, 24 h": "/summary?of=requests&since=24h",
    "the same of a word, 24 h": "/summary?of=events&since=24h&q=components",
    "the same with a label, 24 h": "/summary?of=events&since=24h&facet=batch",
    "requests": "/requests",
    "events": "/events",
    "errors, 1 h": "/errors?since=1h",
    "errors, 24 h": "/errors?since=24h",
    "map, 1 h": "/map?since=1h",
    "map, 24 h": "/map?since=24h",
}


def fill(folder: Path, events: int) -> int:
    """Make the store unless it is there; return the moment of its last event."""
    marker = folder / f"made-{events}"
    if marker.exists():
        return int(marker.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    now_ns, count = time.time_ns(), events // EVENTS_A_REQUEST
    backend = connect(Options(dir=folder, limit_bytes=LIMIT_BYTES, retention_days=3650))
    of_requests = requests(count, now_ns - DAY_NS, between_us=DAY_NS // 1000 // events)
    lines = itertools.chain.from_iterable(request.lines for request in of_requests)
    shipped = 0
    while batch := list(itertools.islice(lines, BATCH)):
        assert backend.ship(batch) is None
        shipped += len(batch)
        if shipped % 500_000 == 0:
            print(f"{shipped:,} events kept, {time.process_time():.0f} s of CPU", flush=True)
    backend.close()
    marker.write_text(str(now_ns))
    return now_ns


def finder(folder: Path) -> Finder:
    """What a viewer over the local store looks things up with."""
    options = Options(dir=folder)
    return Finder(partial(local.open_store, options), parse, find_related_events, lambda event: event)


def ask(client, path: str) -> dict[str, float]:
    """What one answer took."""
    began_s, used_s = time.perf_counter(), time.process_time()
    answer = client.get(path)
    assert answer.status_code == 200, answer.status
    return {
        "ms": 1000 * (time.perf_counter() - began_s),
        "CPU ms": 1000 * (time.process_time() - used_s),
        "kB": len(answer.data) / 1000,
    }


def paint(browser, address: str) -> dict[str, float]:
    """What the first paint of the first page took, from the click on."""
    page = browser.new_page()
    page.goto(f"{address}/story?id=none")
    page.goto(address)
    page.wait_for_function(TIMES)
    took_ms = page.evaluate('performance.getEntriesByName("first-contentful-paint")[0].startTime')
    page.close()
    return {"first paint, ms": took_ms}


def painted(given: argparse.Namespace, now_ns: int) -> list[dict[str, float]]:
    """The first paints, none without a browser."""
    if not (path := shutil.which("chromium")):
        print("not painted: there is no Chromium on the PATH (Debian: apt-get install chromium)")
        return []
    with sync_playwright() as playwright, viewing(finder(given.dir), clock=lambda: now_ns) as address:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        figures = interleave(given.rounds, {"overview": partial(paint, browser, address)})
        browser.close()
    print_table(figures)
    return figures["overview"]


@contextmanager
def folder_of(given: argparse.Namespace):
    """The folder of the store: a temporary one unless it is given."""
    if given.dir:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        given.dir = Path(folder)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="where the store is kept, or is there already")
    parser.add_argument("--quick", action="store_true", help="200,000 events, 3 rounds")
    given = parser.parse_args()
    if given.quick:
        given.events, given.rounds = 200_000, 3
    print_machine("flask", "jinja2", "playwright")
    with folder_of(given):
        now_ns = fill(given.dir, given.events)
        client = create_app(finder(given.dir), clock=lambda: now_ns).test_client()
        print(f"{given.events:,} events of a day, {given.rounds} interleaved rounds: median [least-most]")
        print_table(interleave(given.rounds, {name: partial(ask, client, path) for name, path in PAGES.items()}))
        first = painted(given, now_ns)
    promise = f"ms until the first paint of the overview, {given.events:,} events kept"
    return verdict(judge(promise, middle(first, "first paint, ms"), at_most=MAX_FIRST_PAINT_MS) for _ in first[:1])


if __name__ == "__main__":
    sys.exit(main())
