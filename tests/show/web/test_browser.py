"""The viewer in a real browser: what a person does with it, and what an event must not do."""

import json

import pytest

from dashcam.record.masking.mask import mask_event
from dashcam.show.story import build_story
from dashcam.show.web.page import render_file

from .. import events
from ..shelf import Shelf, finder, viewing

pytestmark = pytest.mark.browser

STORY = f"/story?id={events.REQUEST_ID}"

COMPARED = f"/compare?id={events.REQUEST_ID}&other=good"

MISSPELT = "/events?q=level:eror"

PAGES = ["/", "/requests", "/events?q=level:error", "/errors", "/map", STORY, COMPARED]


@pytest.fixture
def shelf():
    return Shelf(events.failed())


@pytest.fixture
def good(shelf):
    """A good request beside the failed one, a second before."""
    cars = events.Service("cars", [], request_id="good", trace_id="d" * 32, segment="e" * 24)
    cars.server(-1000, 20, "POST /cars", 201, "e" * 16)
    shelf.events += cars.events
    return cars.events


@pytest.fixture
def address(shelf):
    with viewing(finder(shelf, mask_event), clock=lambda: events.START_NS + 60 * 10**9) as address:
        yield address


VIEWPORT = {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def kept_page(chromium):
    """The page that most tests use, one after another: a new one costs three times as much as a visit."""
    with chromium.new_context(**VIEWPORT) as context:
        yield context.new_page()


@pytest.fixture
def open_page(chromium, kept_page, address):
    """A function that opens a page; at the end none of them may have complained.

    With options, or if it is not the first of its test, it is a page of its own.
    """
    contexts, pages, complaints = [], [], []
    listeners = {
        "pageerror": lambda error: complaints.append(str(error)),
        "dialog": lambda dialog: (complaints.append(dialog.message), dialog.dismiss()),
        "console": lambda line: "server responded with a status of" in line.text or complaints.append(line.text),
    }

    def open_page(path="", *, url="", **options):
        page = kept_page
        if options or pages:
            contexts.append(chromium.new_context(**VIEWPORT | options))
            page = contexts[-1].new_page()
        pages.append(page)
        page.set_default_timeout(30_000)  # ten thousand events take a busy machine more than ten
        for event, listener in listeners.items():
            page.on(event, listener)
        page.goto(url or f"{address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    if kept_page in pages:
        for event, listener in listeners.items():
            kept_page.remove_listener(event, listener)
        kept_page.goto("about:blank")
        kept_page.emulate_media(color_scheme="light")  # as a new one has it
        kept_page.mouse.move(0, 0)
    assert complaints == []


def settle(page):
    """Wait until what a page asks for after it was drawn is there."""
    page.locator("[aria-busy]").wait_for(state="detached")


def shown_rows(page):
    return page.locator("table.story tbody tr:visible").count()


def test_a_whole_row_is_the_link(open_page):
    """Wherever it is clicked; and its text is one of the story's."""
    page = open_page("/requests")

    row = page.locator(".requests tbody tr")
    box = row.bounding_box()
    row.click(position={"x": box["width"] - 20, "y": box["height"] / 2})  # once it stands where it stays

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
    page = open_page("/requests")
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
    page = open_page("/requests")
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
    page = open_page("/requests?live=1")
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


def test_hostile_events_do_nothing(open_page, address, shelf, good):
    """On no page does a script run, is an element made, or anything asked from elsewhere."""
    shelf.events[:] = [*events.hostile(), *good]
    page, asked, made = open_page(), [], {}
    page.on("request", note := lambda request: asked.append(request.url))
    for path in PAGES:
        page.goto(f"{address}{path}")
        settle(page)
        asked.clear()
        for row in page.locator("table.story tbody tr").all():
            row.click()
        foreign = page.locator("img, iframe, main b b, script:not([src]):not([type='application/json'])").count()
        made[path] = foreign, [url for url in asked if not url.startswith(f"{address}/static/")]
        if path == STORY:
            assert "\\u{202e}" in page.locator(".details").evaluate("() => visible('\\u202e')")

    page.remove_listener("request", note)
    assert made == dict.fromkeys(PAGES, (0, []))


def test_the_policy_stops_what_escaping_would_miss(kept_page, address):
    """Even an element with a handler, once in the page, does not run."""
    kept_page.goto(address)
    kept_page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    kept_page.evaluate("new Promise(after => setTimeout(after, 100))")

    assert kept_page.evaluate("window.ran") is None


def test_dark_and_light_follow_the_system(open_page):
    """Ink on paper, or the other way round."""
    page, grounds = open_page("/requests"), []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(251, 251, 250)", "rgb(18, 20, 24)"]


def test_a_phone_shows_everything_without_scrolling_sideways(open_page, address, good):
    """390 pixels are enough."""
    page, widths = open_page(viewport={"width": 390, "height": 844}), {}
    for path in [*PAGES, MISSPELT]:
        page.goto(f"{address}{path}")
        settle(page)
        widths[path] = page.evaluate("document.documentElement.scrollWidth")

    assert {path: width for path, width in widths.items() if width > 390} == {}


def test_without_script_a_story_is_whole(open_page):
    """Rows, bars and stack traces are in the page itself."""
    page = open_page(STORY, java_script_enabled=False)

    assert shown_rows(page) == 7
    assert page.locator("table.story rect").count() == 4
    page.get_by_text("Stack trace").click()
    assert page.get_by_text("cursor.execute(INSERT, rows)").is_visible()


def test_axe_finds_nothing_serious(open_page, address, good):
    """Names, roles, contrast: the rules of axe-core on each page; contrast in dark pages, too."""
    from axe_playwright_python.sync_playwright import Axe  # imports playwright

    page, found = open_page(), []
    for path in [*PAGES, MISSPELT, "/story?id=nothing"]:
        page.goto(f"{address}{path}")
        settle(page)
        for values in page.get_by_text("Values of").all():
            values.click()
        if path == STORY:
            page.get_by_text("parts could not be made").click()
        for scheme, options in {"light": {}, "dark": {"runOnly": ["color-contrast"]}}.items():
            page.emulate_media(color_scheme=scheme)
            violations = Axe().run(page, options=options).response["violations"]
            found += [(path, scheme, each["id"], each["nodes"][0]["html"]) for each in violations]

    assert found == []


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


def test_a_saved_story_is_under_a_policy_too(kept_page, tmp_path):
    """A handler that got in does not run."""
    file = tmp_path / "story.html"
    file.write_text(render_file(build_story(events.failed()), events.START_NS), encoding="utf-8")
    kept_page.goto(file.as_uri())
    kept_page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    kept_page.evaluate("new Promise(after => setTimeout(after, 100))")

    assert kept_page.evaluate("window.ran") is None


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_thousands_of_events_stay_usable(open_page, shelf, count):
    """To the end, back, and folded."""
    shelf.events[:] = events.long(count)
    page = open_page(STORY)
    page.locator("table.story tbody tr").first.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.innerText").startswith("DEBUG row kept")
    page.get_by_role("button", name="Fold all").click()

    assert page.locator("table.story tbody tr:visible").count() == count // 2 + 1


def test_a_period_is_chosen_by_dragging(open_page):
    """The list then has that period alone, and so has its address."""
    page = open_page("/events?since=1h")
    settle(page)
    box = page.locator(".histogram svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 40, box["y"] + 30, steps=3)
    page.mouse.up()
    page.wait_for_url("**from=*")

    assert page.locator(".period").inner_text().startswith("2026-11-24 01:3")
    assert page.locator("table.events tbody tr").count() == 7


def test_a_period_is_chosen_by_keys(open_page):
    """Arrows move, Shift extends, Enter goes there; what is chosen is said."""
    page = open_page("/events?since=1h")
    settle(page)
    page.locator(".histogram svg").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".said-bar").inner_text().startswith("2026-11-24 01:3")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=*")

    assert "Back to 1 hour" in page.locator(".period").inner_text()


def test_a_value_narrows_the_list_and_the_address(open_page):
    """One click; and back again with the browser's own button."""
    page = open_page("/events")
    settle(page)
    page.get_by_text("Values of").click()
    page.get_by_role("region", name="service").get_by_role("link", name="parts").click()
    page.wait_for_url("**service*")

    services = page.locator("table.events tbody tr td:nth-child(3)").all_inner_texts()
    assert set(services) == {"parts"}


def test_a_list_goes_on_when_its_end_comes_near(open_page, shelf):
    """Page after page, no row twice, until there is no more."""
    shelf.events[:] = events.long(600)
    page = open_page("/events?q=message:row")
    total = sum("row" in event.get("message") for event in shelf.events)
    while page.locator(".older a").count():
        page.keyboard.press("End")
        page.wait_for_timeout(50)

    ids = page.locator("table.events tbody tr").evaluate_all("rows => rows.map(row => row.id)")
    assert (len(ids), len(set(ids))) == (total, total)


def test_local_time_is_the_browsers(open_page):
    """The switch is in the page, its state in the address."""
    page = open_page("/events", timezone_id="Asia/Tokyo")
    page.get_by_role("link", name="Show local time").click()
    page.wait_for_url("**zone=local*")

    assert page.locator("table.events time").first.inner_text().startswith("2026-11-24 10:35:46")
    assert page.get_by_role("link", name="Show UTC").is_visible()


def test_from_the_overview_to_the_story_by_keyboard(open_page):
    """Tab and Enter alone."""
    page = open_page("/")
    settle(page)
    page.get_by_role("table").get_by_role("link", name="/cars").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests?*")
    page.get_by_role("link", name="POST /cars").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/story?id=*")


def test_the_map_is_readable_with_sixty_places(open_page, shelf):
    """No box stands on another, and each has its name."""
    shelf.events[:] = []
    for number in range(59):
        service = events.Service(f"service-{number}", shelf.events, request_id=f"r{number}", trace_id=f"{number:032x}")
        service.server(number, 5, "GET /", 200, f"{number + 1:016x}")
        target = f"http://service-{(number + 1) % 59 if number % 3 else number // 2}:80/"
        service.client(number, 4, f"GET {target}", 200, f"{number + 1000:016x}", parent=f"{number + 1:016x}")
    page = open_page("/map")

    boxes = page.locator(".map .box rect").evaluate_all(
        "all => all.map(one => { const b = one.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; })"
    )
    assert len(boxes) >= 59
    crossing = [
        (a, b)
        for i, a in enumerate(boxes)
        for b in boxes[:i]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]
    assert crossing == []
