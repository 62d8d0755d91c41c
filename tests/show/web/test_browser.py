"""The viewer in a real browser: what a person does with it, and what an event must not do."""

import json
import os
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from dashcam.record.masking import mask_event
from dashcam.show.story import build_story
from dashcam.show.web.page import render_file

from .. import events
from ..shelf import Shelf, finder, viewing

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

MISSING = "no Chromium on PATH; on Debian: apt-get install chromium, on macOS: brew install --cask chromium"

SWITCHES = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

STORY = f"/story?id={events.REQUEST_ID}"


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def shelf():
    return Shelf(events.failed())


@pytest.fixture
def address(shelf):
    with viewing(finder(shelf, mask_event), clock=lambda: events.START_NS + 60 * 10**9) as address:
        yield address


@pytest.fixture
def open_page(chromium, address):
    """A function that opens a page; at the end none of them may have complained."""
    contexts, complaints = [], []

    def open_page(path="", *, url="", **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "console", lambda line: "server responded with a status of" in line.text or complaints.append(line.text)
        )
        page.goto(url or f"{address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def shown_rows(page):
    return page.locator("table.story tbody tr:visible").count()


def test_a_whole_row_is_the_link(open_page):
    """Wherever it is clicked; and its text is one of the story's."""
    page = open_page("/")

    box = page.locator(".requests tbody tr").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 20, box["y"] + box["height"] / 2)

    page.wait_for_url("**/story?id=*")


def test_a_folded_span_says_what_failed_inside(open_page):
    """And does not while it is open."""
    page = open_page(STORY)
    inside = page.locator("tbody tr").first.locator(".inside")

    assert not inside.is_visible()
    page.locator(".fold").first.click()
    assert inside.inner_text() == "4 failed inside"


def test_a_span_called_events_has_details(open_page, shelf):
    """Its name is a stranger's, and not the page's own."""
    shelf.events[0].fields["event"]["id"] = "events"
    page = open_page(STORY)

    page.locator("tbody tr").nth(1).click()

    assert page.locator(".details dt").count() > 5


def test_a_search_leads_to_the_event_in_its_story(open_page):
    """Type, press Enter, click."""
    page = open_page("/")
    page.keyboard.press("/")
    page.keyboard.type('level:error "could not be made"')
    page.keyboard.press("Enter")
    page.get_by_role("link", name="parts could not be made").click()

    assert page.locator("h1").inner_text().split() == ["✗", "POST", "/cars", "502", "28.9", "ms"]
    assert page.locator(".details h2").inner_text() == "parts could not be made"
    assert "psycopg2.errors.CheckViolation" in page.locator(".details dl").inner_text()


def test_a_fault_in_a_search_is_marked(open_page):
    """And the box keeps what was typed."""
    page = open_page("/events?q=service:parts+level:eror")

    assert page.locator("mark").inner_text() == "eror"
    assert page.get_by_role("searchbox").get_attribute("aria-invalid") == "true"
    assert page.get_by_role("searchbox").input_value() == "service:parts level:eror"


def test_a_request_is_opened_from_the_list(open_page):
    """It is marked as failed there, and its services have colours of their own."""
    page = open_page("/")
    assert "is-error" in page.locator("tbody tr").get_attribute("class")
    page.get_by_role("link", name="POST /cars").click()

    fills = page.locator("tr.served rect").evaluate_all("bars => bars.map(bar => getComputedStyle(bar).fill)")
    assert len(set(fills)) == 2


def test_rows_fold_and_unfold_by_keyboard(open_page):
    """Arrows, as in any tree."""
    page = open_page(STORY)
    page.locator("table.story tbody tr").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    folded = shown_rows(page)
    page.keyboard.press("ArrowRight")

    assert (folded, shown_rows(page)) == (4, 7)


def test_rows_fold_by_mouse(open_page):
    """The whole request under its first row."""
    page = open_page(STORY)
    page.locator(".fold").first.click()

    assert shown_rows(page) == 1
    assert page.locator("table.story tbody tr").first.get_attribute("aria-expanded") == "false"


def test_log_lines_can_be_left_out(open_page):
    """Spans alone."""
    page = open_page(STORY)
    page.get_by_role("button", name="Log lines").click()

    assert shown_rows(page) == 4


def test_the_keyboard_leads_from_error_to_error_and_into_details(open_page):
    """`e`, Enter, Escape."""
    page = open_page(STORY)
    for _ in range(4):
        page.keyboard.press("e")
    page.keyboard.press("Enter")
    details = page.get_by_role("complementary", name="Details")
    recorded = json.loads(details.locator("pre").inner_text())
    page.keyboard.press("Escape")

    assert recorded["message"] == "parts could not be made"
    assert not details.is_visible()
    assert page.evaluate("document.activeElement.id").endswith("-00000002")


def test_a_value_in_the_details_leads_to_a_search_for_it(open_page):
    """Who else had this car?"""
    page = open_page(STORY)
    page.get_by_text("parts could not be made").click()
    page.locator(".details dd a", has_text=events.CAR_ID).click()

    assert page.get_by_role("searchbox").input_value() == f'labels.car_id:"{events.CAR_ID}"'
    assert page.locator("table.events tbody tr").count() == 1


def test_a_live_page_takes_in_what_comes(open_page, shelf):
    """The newest at the top, and nothing twice."""
    page = open_page("/events")
    page.get_by_role("button", name="Live").click()
    late = events.Service("cars", [], segment="f" * 24)
    late.line(500, "<img src=x onerror=alert(1)>", events.ROOT)
    shelf.events += late.events
    page.locator("table.events tbody tr", has_text="<img src=x").wait_for()

    assert page.locator("table.events tbody tr").count() == 8
    assert "<img src=x" in page.locator("table.events tbody tr").first.inner_text()
    assert "live=1" in page.url


def test_a_live_list_of_requests_takes_in_new_ones(open_page, shelf):
    """And corrects those whose end is known later."""
    page = open_page("/?live=1")
    page.locator("tbody tr", has_text="502").wait_for()
    fresh = events.Service("cars", [], request_id="fresh", segment="f" * 24)
    fresh.server(500, 1, "GET /cars", 200, events.ROOT)
    shelf.events += fresh.events
    page.locator("tbody tr", has_text="fresh").wait_for()

    assert page.locator("tbody tr").count() == 2


def test_a_live_page_survives_a_store_that_is_away(open_page, shelf):
    """It says so, and goes on when the store is back."""
    page = open_page("/events?q=message:nothing&live=1")
    shelf.broken = "gone"
    page.locator(".live.is-lost").wait_for()
    shelf.broken = ""

    page.locator(".live:not(.is-lost)").wait_for()


def test_a_link_to_an_event_opens_it(open_page):
    """What Copy link copies is the address of the page with the event."""
    page = open_page(STORY, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("parts could not be made").click()
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("status").get_by_text("Link copied").wait_for(state="attached")
    link = page.evaluate("navigator.clipboard.readText()")
    shared = open_page(url=link)

    assert shared.locator(".details h2").inner_text() == "parts could not be made"


@pytest.mark.parametrize("path", ["/", "/events", STORY])
def test_hostile_events_do_nothing(open_page, address, shelf, path):
    """No script runs, no element is made, nothing is asked from elsewhere."""
    shelf.events[:] = events.hostile()
    page = open_page(path)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for row in page.locator("table.story tbody tr").all():
        row.click()

    assert page.locator("img, iframe, main b b, script:not([src]):not([type='application/json'])").count() == 0
    assert [url for url in asked if not url.startswith(f"{address}/static/")] == []
    if path == STORY:
        assert "\\u{202e}" in page.locator(".details").evaluate("() => visible('\\u202e')")


def test_the_policy_stops_what_escaping_would_miss(chromium, address):
    """Even an element with a handler, once in the page, does not run."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(address)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.evaluate("new Promise(after => setTimeout(after, 100))")

    assert page.evaluate("window.ran") is None
    context.close()


def test_dark_and_light_follow_the_system(open_page):
    """Ink on paper, or the other way round."""
    grounds = [
        open_page("/", color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]

    assert grounds == ["rgb(251, 251, 250)", "rgb(18, 20, 24)"]


@pytest.mark.parametrize("path", ["/", "/events?q=level:error", "/events?q=level:eror", STORY])
def test_a_phone_shows_everything_without_scrolling_sideways(open_page, path):
    """390 pixels are enough."""
    page = open_page(path, viewport={"width": 390, "height": 844})

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_script_a_story_is_whole(open_page):
    """Rows, bars and stack traces are in the page itself."""
    page = open_page(STORY, java_script_enabled=False)

    assert shown_rows(page) == 7
    assert page.locator("table.story rect").count() == 4
    page.get_by_text("Stack trace").click()
    assert page.get_by_text("cursor.execute(INSERT, rows)").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/events?q=level:error", "/events?q=level:eror", STORY, "/story?id=nothing"])
def test_axe_finds_nothing_serious(open_page, path, scheme):
    """Names, roles, contrast: the rules of axe-core."""
    page = open_page(path, color_scheme=scheme)
    if path == STORY:
        page.get_by_text("parts could not be made").click()
    found = Axe().run(page).response["violations"]

    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_a_screen_reader_finds_its_way(open_page):
    """Landmarks, and a tree in a table with levels."""
    page = open_page(STORY)

    for role in ("banner", "navigation", "search", "main", "treegrid"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("row", level=3).count() == 1
    assert page.get_by_role("columnheader").count() == 4


def test_a_saved_story_needs_nobody(open_page, tmp_path):
    """One file: it opens without a server, asks for nothing, and its details work."""
    some = events.failed()
    some[0].fields["labels"]["api_key"] = "hunter2"
    file = tmp_path / "story.html"
    file.write_text(render_file(build_story(map(mask_event, some)), events.START_NS), encoding="utf-8")
    page = open_page(url=file.as_uri())
    page.get_by_text("creating a car").click()

    assert '"api_key": "***"' in page.locator(".details pre").inner_text()
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert page.get_by_text("secrets masked").is_visible()


def test_a_saved_story_is_under_a_policy_too(chromium, tmp_path):
    """A handler that got in does not run."""
    file = tmp_path / "story.html"
    file.write_text(render_file(build_story(events.failed()), events.START_NS), encoding="utf-8")
    context = chromium.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.evaluate("new Promise(after => setTimeout(after, 100))")

    assert page.evaluate("window.ran") is None
    context.close()


def test_ten_thousand_events_stay_usable(open_page, shelf):
    """To the end, back, and folded."""
    shelf.events[:] = events.long(10_000)
    page = open_page(STORY)
    page.locator("table.story tbody tr").first.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.innerText").startswith("DEBUG row kept")
    page.get_by_role("button", name="Fold all").click()

    assert page.locator("table.story tbody tr:visible").count() == 5001
