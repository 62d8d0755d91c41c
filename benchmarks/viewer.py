"""How soon a browser shows a story: first paint after the store answered, and the whole page open.

The store answers at once, so what is measured is telling, drawing, sending and painting. A real Chromium, without its
graphics card, opens the list of requests in a new tab and then the story, as a person does. What a page weighs besides
its rows and events is counted too.

    python -m benchmarks.viewer [rounds]
"""

import shutil
import sys
import time
from functools import partial

from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict
from playwright.sync_api import sync_playwright
from tests.show import events
from tests.show.shelf import Shelf, viewing

from dashcam.event import Event
from dashcam.find.language import parse
from dashcam.find.query import Store
from dashcam.show.story import build_story
from dashcam.show.web.app import Finder
from dashcam.show.web.page import read_asset, render_story

SMALL, LARGE = 50, 10_000  # events

FIRST_PAINT, OPEN = "first paint after the store, ms", "open, ms"

MAX_PAINT_MS, MAX_OPEN_MS, MAX_BYTES = 200, 2000, 100_000

TIMES = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const [page] = performance.getEntriesByType("navigation");
  return paint && page.loadEventEnd
    ? {paint_ms: performance.timeOrigin + paint.startTime, open_ms: page.loadEventEnd} : null;
}"""


class Answer:
    """What a store gives at once, and when it did."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.given_ms = 0.0

    def give(self, _store: Store, _any_id: str) -> list[Event]:
        self.given_ms = time.time() * 1000
        return self.events


def finder(answer: Answer) -> Finder:
    """What a viewer looks things up with that shows what a store answers."""
    return Finder(open_store=lambda: Shelf([]), parse=parse, find_related_events=answer.give, mask=lambda event: event)


def open_story(browser, address: str, answer: Answer) -> dict[str, float]:
    """What one look at a story took."""
    page = browser.new_page()
    page.goto(address)
    page.goto(f"{address}/story?id={events.REQUEST_ID}")
    times = page.wait_for_function(TIMES).json_value()
    page.close()
    return {FIRST_PAINT: times["paint_ms"] - answer.given_ms, OPEN: times["open_ms"]}


def bare_bytes() -> int:
    """What a story's page weighs when there is nothing in it, style and script included."""
    page = "".join(render_story(build_story([]), "x", {"address": "x"}))
    return sum(len(part.encode()) for part in (page, read_asset("viewer.css"), read_asset("viewer.js")))


def main(rounds: int = 9) -> int:
    if not shutil.which("chromium"):
        print("not measured: there is no Chromium on the PATH (Debian: apt-get install chromium)")
        return 0
    small, large = Answer(events.long(SMALL)), Answer(events.long(LARGE))
    print_machine("flask", "jinja2", "playwright")
    with (
        sync_playwright() as playwright,
        viewing(finder(small)) as small_address,
        viewing(finder(large)) as large_address,
    ):
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        print(f"Chromium {browser.version}, {rounds} interleaved rounds: median [least-most]")
        ways = {
            f"{SMALL:,} events": partial(open_story, browser, small_address, small),
            f"{LARGE:,} events": partial(open_story, browser, large_address, large),
        }
        figures = interleave(rounds, ways)
        browser.close()
    print_table(figures)
    return verdict(judged(*figures.values()))


def judged(small, large):
    yield judge("bytes of a page besides its data", bare_bytes(), at_most=MAX_BYTES)
    yield judge("ms from the store's answer to the first paint", middle(small, FIRST_PAINT), at_most=MAX_PAINT_MS)
    yield judge("ms until a long story is open", middle(large, OPEN), at_most=MAX_OPEN_MS)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
