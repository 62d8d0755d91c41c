"""The viewer's pages, as a client without a browser sees them."""

import html
import json
import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from dashcam.errors import DashcamError
from dashcam.event import Event
from dashcam.record.masking.mask import mask_event
from dashcam.show.story import build_story
from dashcam.show.web import figures, lists, page
from dashcam.show.web.app import POLICY, create_app, serve

from .. import events
from ..shelf import Shelf, finder

SOON_NS = events.START_NS + 60 * 10**9


PAGES = ["/", "/requests", "/events", "/errors", "/map", "/summary", f"/story?id={events.REQUEST_ID}"]


@pytest.fixture
def shelf():
    return Shelf(events.created())


@pytest.fixture
def client(shelf):
    return create_app(finder(shelf, mask_event), clock=lambda: SOON_NS).test_client()


def text_of(answer):
    return html.unescape(re.sub(r"<[^>]*>", "", answer.text))


@pytest.mark.parametrize("path", [*PAGES, "/events?q=level:eror", "/lost"])
def test_every_page_is_under_the_policy(client, path):
    """No script but the viewer's own file, from nowhere else."""
    answer = client.get(path)

    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", [*PAGES, "/event?id=x"])
def test_no_page_has_inline_script_or_style(client, path):
    """The policy would block it."""
    text = client.get(path).text

    assert re.findall(r"<script(?! src=)(?! type=\"application/json\")", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", text) == []


def test_requests_are_listed_with_outcome_and_duration(client):
    """One row for a request, whatever number of services took part."""
    text = text_of(client.get("/requests"))

    assert re.search(r"POST /cars\s+201\s+42.3 ms\s+cars, parts\s+" + events.REQUEST_ID, text)
    assert text.count("POST /") == 1


def test_a_search_lists_events_newest_first(client):
    """And each leads to its story."""
    answer = client.get("/events?q=service:cars message:car")

    assert answer.text.index("car created") < answer.text.index("creating a car")
    assert f'href="/story?id={events.REQUEST_ID}#row-636172730000000000000000-00000005"' in answer.text


def test_a_search_that_cannot_be_read_is_shown_at_its_place(client):
    """The fault is marked in what was typed."""
    answer = client.get("/events?q=service:parts level:eror")

    assert answer.status_code == 400
    assert "service:parts level:<mark>eror</mark>" in answer.text
    assert "At character 21" in answer.text
    assert 'value="service:parts level:eror"' in answer.text


@pytest.mark.parametrize("text", ["(", '"open', "level:", "status:[1 TO", "x" * 2000 + ":", "\x00", "a:b:c", "\ud83d"])
def test_whatever_is_typed_gets_an_answer(client, text):
    """A page, never a crash."""
    assert client.get("/events", query_string={"q": text.encode("utf-8", "replace")}).status_code in {200, 400}


@pytest.mark.parametrize(
    "any_id", [events.TRACE_ID, events.REQUEST_ID, events.ROOT, f"car_id={events.CAR_ID}", "golf-1"]
)
def test_an_id_in_the_search_box_leads_to_its_story(shelf, client, any_id):
    """No need to know what kind of id it is."""
    events.Service("cars", shelf.events, request_id="golf-1", segment="1" * 24).line(0, "hello", "")
    answer = client.get("/events", query_string={"q": any_id})

    assert (answer.status_code, answer.headers["Location"]) == (302, f"/story?{urlencode({'id': any_id})}")


def test_a_story_has_every_event(client):
    """Spans and lines, as rows of a tree."""
    answer = client.get(f"/story?id={events.REQUEST_ID}")

    assert re.findall(r'aria-level="(\d)"', answer.text) == list("1222344422")
    assert "parts wanted" in answer.text


def test_an_unknown_id_is_said_to_be_unknown(client):
    """404, with what an id may be."""
    answer = client.get("/story?id=nothing")

    assert answer.status_code == 404
    assert "The store has no event of nothing." in answer.text


def test_a_store_that_cannot_be_reached_is_named(client, shelf):
    """503, and what the store said."""
    shelf.broken = "Elasticsearch at http://127.0.0.1:9 gives no answer."

    for path in PAGES:
        answer = client.get(path)
        assert (answer.status_code, shelf.broken in answer.text) == (503, True)


def test_a_story_is_to_be_had_as_json(client):
    """The same as `dashcam trace --json` prints."""
    assert client.get(f"/story.json?id={events.REQUEST_ID}").json["outcome"] == "success"


def test_a_story_is_to_be_had_as_a_file_with_secrets_masked(client, shelf):
    """It is handed on to others."""
    shelf.events[0].fields["labels"]["password"] = "hunter2"
    shelf.events[0].fields["message"] = "login with token=abc123secret at postgresql://me:pw99@db/cars"
    answer = client.get(f"/story.html?id={events.REQUEST_ID}")

    assert answer.headers["Content-Disposition"] == f'attachment; filename="dashcam-{events.REQUEST_ID}.html"'
    assert [secret for secret in ("hunter2", "abc123secret", "pw99") if secret in answer.text] == []
    assert "***" in answer.text


def test_one_event_is_shown_whole(client):
    """Its JSON, as it was recorded."""
    answer = client.get("/event?id=636172730000000000000000-00000005")

    assert '"message": "car created"' in text_of(answer)


@pytest.mark.parametrize("path", ["/story", "/event", "/story?id=", "/story.json"])
def test_an_address_without_an_id_is_a_bad_request(client, path):
    """It says so."""
    assert client.get(path).status_code == 400


@pytest.mark.parametrize(("host", "status"), [("localhost:7411", 200), ("[::1]:7411", 200), ("evil.example", 400)])
def test_only_our_own_names_are_answered(client, host, status):
    """A name that a stranger made lead here (DNS rebinding) reads nothing."""
    answer = client.get("/requests", headers={"Host": host})

    assert answer.status_code == status
    assert (events.REQUEST_ID in answer.text) == (status == 200)


def test_rows_alone_are_sent_to_a_live_page(client):
    """What is there since a moment, and a minute before: events may come late."""
    later = events.START_NS + 61 * 10**9
    rows = client.get(f"/events?rows=1&q=&after={events.START_NS}").text

    assert rows.count("<tr ") == 10
    assert "<html" not in rows
    assert client.get(f"/events?rows=1&q=&after={later}").text == ""
    assert client.get("/requests?rows=1").text.count("<tr ") == 1


def test_older_events_are_one_click_away():
    """A page holds so many; the next begins where it ended."""
    client = create_app(finder(Shelf(events.long(600))), clock=lambda: SOON_NS).test_client()
    first = client.get("/events?q=message:row")
    older = html.unescape(re.search(r'href="([^"]*)">Older', first.text)[1])
    second = client.get(older)

    assert first.text.count('<tr id="') == second.text.count('<tr id="') == 200
    assert not set(re.findall(r'<tr id="([^"]+)', first.text)) & set(re.findall(r'<tr id="([^"]+)', second.text))


@pytest.mark.parametrize("since", ["15m", "1h", "24h", "7d", "all", "nonsense"])
def test_the_time_to_look_back_is_chosen(client, since):
    """What is not known counts as a day."""
    assert events.REQUEST_ID in client.get(f"/requests?since={since}").text


class Elements(HTMLParser):
    """The elements and attributes a browser would find."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def test_hostile_events_are_text(shelf, client):
    """Nothing that was logged becomes an element or an attribute."""
    shelf.events[:] = events.hostile()
    for path in (*PAGES, f"/story.html?id={events.REQUEST_ID}"):
        text = client.get(path).text
        found = Elements()
        found.feed(text)
        assert not found.tags & {"img", "iframe", "object", "base"}
        assert not [name for name in found.attributes if name.startswith("on")]
        assert "\x1b" not in text
        assert "\u202e" not in re.sub(r'<script type="application/json".*', "", text, flags=re.DOTALL)


@pytest.mark.parametrize("value", ["</script><!--", "\udc80</script>", [2**70, "<"]])
def test_json_in_a_page_cannot_end_its_element(value):
    """What could is spelled otherwise, and reads the same."""
    embedded = page.embed(value)

    assert "<" not in embedded
    assert json.loads(embedded) == value


def test_a_page_weighs_little_besides_its_data(client):
    """At most 40 kB: markup around the rows, style and script."""
    parts = [client.get("/events?q=message:nothing").text, *map(page.read_asset, ("viewer.css", "viewer.js"))]

    assert sum(len(part.encode()) for part in parts) < 40_000


def test_a_story_too_long_for_a_browser_says_what_it_leaves_out():
    """Rows beyond the most are counted."""
    text = "".join(page.render_story(build_story(events.created()), "x", {}, max_rows=5))

    assert text.count("aria-level=") == 5
    assert "5 more rows are left out" in text


def test_events_without_ids_are_shown():
    """Foreign ones, found in somebody's index."""
    strange = Event({"@timestamp": "2026-11-24T01:35:47Z", "message": "hello"})
    client = create_app(finder(Shelf([strange])), clock=lambda: SOON_NS).test_client()

    assert "hello" in client.get("/events").text


def test_a_port_that_is_taken_is_told(shelf):
    """With what to do."""
    app = create_app(finder(shelf))
    first = serve(app, "127.0.0.1", 0)
    with pytest.raises(DashcamError, match=f"cannot listen on 127.0.0.1 port {first.port}: .* --port 0"):
        serve(app, "127.0.0.1", first.port)
    first.server_close()


def served(request_id, status, path="/cars", route="", took_ms=1):
    cars = events.Service("cars", [], request_id=request_id)
    cars.server(0, took_ms, f"GET {path}", status, events.ROOT)
    cars.events[0].fields["url"] = {"path": path}
    cars.events[0].fields["event"]["id"] = f"event-{request_id}"
    if route:
        cars.events[0].fields["http"]["route"] = route
    return cars.events


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", {"fine", "missed", "slow"}),
        ("status=4xx", {"missed"}),
        ("status=>=400", {"missed"}),
        ("path=/cars/*", {"missed"}),
        ("duration=250ms", {"slow"}),
        ("duration=<250ms&status=200", {"fine"}),
        ("service=parts", set()),
        ("service=cars OR parts", {"fine", "missed", "slow"}),
    ],
)
def test_requests_are_filtered(shelf, client, query, ids):
    """By service, path, status and duration; also while they come in live."""
    shelf.events = served("fine", 200) + served("missed", 404, "/cars/7") + served("slow", 200, took_ms=300)

    for rows in ("", "rows=1&"):
        text = client.get(f"/requests?{rows}{query.replace('>', '%3E').replace('<', '%3C')}").text
        assert set(re.findall(r'<tr id="row-(\w+)"', text)) == ids


def test_a_filter_that_cannot_be_read_is_an_answer(client):
    """With the reason and the filters as they were."""
    answer = client.get("/requests?status=abc")

    assert answer.status_code == 400
    assert "'abc' is not a value of http.response.status_code" in text_of(answer)
    assert 'value="abc"' in answer.text


def test_a_404_is_not_a_success(shelf, client):
    """The service did what it had to; the caller did not get what it asked for."""
    shelf.events = served("missed", 404)

    assert "✓" not in client.get("/requests").text
    assert "✓" not in client.get("/story?id=missed").text


@pytest.mark.parametrize("action", ["request-aborted", "request-unknown"])
def test_how_long_a_request_without_an_end_was_open(shelf, client, action):
    """Nobody knows: what is shown is the least, with the last sign of life."""
    cars = events.Service("cars", [], request_id="killed")
    cars.aborted(500, 480, "POST /cars", events.ROOT, action=action)
    shelf.events = cars.events

    for path in ("/requests", "/events", "/story?id=killed"):
        assert "≥ 480 ms" in text_of(client.get(path)), path


def test_the_path_is_shown_beside_the_route(shelf, client):
    """The route alone does not say which car."""
    shelf.events = served("one", 200, "/cars/7", "/cars/<id>")

    assert "GET /cars/<id> /cars/7" in text_of(client.get("/requests"))
    assert "/cars/7" in text_of(client.get("/story?id=one"))


def test_errors_are_counted_in_a_row_and_in_what_is_folded(shelf, client):
    """Of the request, and of what lies in a span."""
    shelf.events = events.failed()

    assert '<td class="number errors"><b class="bad">5</b></td>' in client.get("/requests").text
    assert "4 failed inside" in client.get(f"/story?id={events.REQUEST_ID}").text


def test_an_empty_store_is_not_an_error(client, shelf):
    """Nothing was shipped yet; the page says what to look at."""
    shelf.is_empty = True

    for path in (
        "/",
        "/errors",
        "/map",
        "/summary",
        "/requests",
        "/events",
        "/requests?rows=1",
        "/events?q=golf-1",
        "/events?q=0193a1b2c3d4e5f601020304",
    ):
        assert client.get(path).status_code == 200
    assert "nothing was shipped yet" in text_of(client.get("/requests"))
    assert client.get("/story?id=golf-1").status_code == 404


def test_no_name_of_a_strangers_is_an_element_of_the_page(shelf, client):
    """A span, a request or an event may be called `events` or `q`."""
    shelf.events = served("q", 200)
    shelf.events[0].fields["event"]["id"] = "story-events"

    for path in ("/requests", "/events", "/story?id=q"):
        ids = re.findall(r'\sid="([^"]*)"', client.get(path).text)
        assert len(ids) == len(set(ids))


def traffic(count, status=200, route="/cars", at_ms=0, took_ms=10):
    """Requests of one route, a millisecond apart, each with an ID of its own."""
    cars = events.Service("cars", [], segment=f"{route}-{status}-{at_ms}"[-24:])
    for number in range(count):
        cars.request_id = f"{route.strip('/')}-{at_ms}-{number}"
        cars.server(at_ms + number, took_ms, f"GET {route}", status, f"{at_ms + number:016x}")
    return cars.events


def test_the_first_page_says_what_is_wrong(shelf, client):
    """Counts, shares and percentiles by route, what they were before, and what changed in words."""
    hour_ms = 3_600_000
    shelf.events = traffic(40) + traffic(30, at_ms=-hour_ms) + traffic(10, 500, at_ms=50)
    shelf.events += traffic(2, route="/wheels") + traffic(3, route="/paint", at_ms=-hour_ms)
    text = re.sub(r"\s+", " ", text_of(client.get("/")))

    assert "cars /cars fails more: 20.0%, before 0.0%" in text
    assert "cars /paint is gone: 3 requests before" in text
    assert "cars /wheels is new: 2 requests" in text
    assert re.search(r"cars /cars 50before 30 0.01 20.0%before 0.0% 10.0 msbefore 10.0 ms", text)


def test_a_route_of_the_first_page_leads_to_its_requests(shelf, client):
    """Those of the same service, route and period, and no others."""
    shelf.events = traffic(3) + traffic(2, route="/wheels", at_ms=10)
    link = html.unescape(re.search(r'<th scope="row"><a href="([^"]*)">/wheels', client.get("/").text)[1])

    ids = re.findall(r'<tr id="row-([\w-]+)"', client.get(link).text)
    assert sorted(ids) == ["wheels-10-0", "wheels-10-1"]


def test_groups_of_errors_lead_to_the_newest_story(shelf, client):
    """One row for each kind of error, with its place and its count."""
    shelf.events = events.failed()
    answer = client.get("/errors")

    assert "psycopg2.errors.CheckViolation" in text_of(answer)
    assert f'href="/story?id={events.REQUEST_ID}"' in answer.text


def test_the_map_has_each_place_and_each_way(client):
    """Drawn, and as a table for whoever cannot see the drawing."""
    answer = client.get("/map")

    assert re.findall(r'<g class="box (\w+)"><title>([\w ]+)', answer.text) == [
        ("service", "cars"),
        ("database", "postgresql cars"),
        ("service", "parts"),
        ("database", "postgresql parts"),
    ]
    assert re.search(r"cars\s*parts\s*1\s*<0.01\s*0\s*0", text_of(answer))


def test_a_call_without_an_answer_is_drawn_broken(shelf, client):
    """And counted as such."""
    cars = events.Service("cars", [])
    cars.server(0, 9, "GET /cars", 502, events.ROOT)
    cars.client(1, 5, "GET http://parts:5000/wheels", 0, "2" * 16, parent=events.ROOT)
    shelf.events = cars.events

    assert '<g class="arrow broken">' in client.get("/map").text


def test_a_failed_story_is_held_against_a_good_one(shelf, client):
    """The nearest of the same route, chosen by the viewer; the story has the link."""
    good = events.Service("cars", [], request_id="good", trace_id="d" * 32, segment="e" * 24)
    good.server(-500, 20, "POST /cars", 201, "e" * 16)
    shelf.events = events.failed() + good.events
    answer = client.get(f"/compare?id={events.REQUEST_ID}")

    assert answer.status_code == 200
    assert "http.response.status_code: 502 → 201" in text_of(answer)
    assert "Compare with a good one" in client.get(f"/story?id={events.REQUEST_ID}").text


def test_a_story_like_no_other_is_compared_with_none(shelf, client):
    """404, and why."""
    assert "so there is none to compare it with" in client.get(f"/compare?id={events.REQUEST_ID}").text


def test_the_summary_counts_all_events_of_a_list(shelf, client):
    """Not only those of the page: by level over time, and by value."""
    shelf.events = events.long(600)
    text = client.get("/summary?of=events&q=message:row&since=1h").text
    counts = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)[1])
    found = sum(
        query_count for query_count in (int(part.split()[0]) for bar in counts for part in bar.split(", ") if part)
    )

    assert len(counts) in {60, 61}
    assert f"<b>{found}</b> events" in text
    assert found == sum("row" in event.get("message") for event in shelf.events)


def test_a_value_narrows_the_list(client):
    """Its link adds it to the search."""
    text = client.get("/summary?of=events&q=car").text
    link = html.unescape(re.search(r'<a href="([^"]*)">parts</a>', text)[1])

    assert 'service:"parts"' in html.unescape(client.get(link).text)
    assert "parts wanted" not in client.get(link).text


def test_labels_become_columns_and_facets(shelf, client):
    """Both stand in the address."""
    text = client.get("/summary?of=events&q=&facet=car_id").text
    assert 'aria-label="labels.car_id"' in text
    column = html.unescape(re.search(r'<a class="column" href="([^"]*car_id[^"]*)"', text)[1])

    page_text = client.get(column).text
    assert '<th scope="col">car_id</th>' in page_text
    assert re.search(rf'<td class="value">{events.CAR_ID}</td>', page_text)


def test_a_period_in_the_address_stays_where_it_is(client):
    """Whatever the time is when somebody follows the link."""
    here = "from=2026-11-24T01:35:46.000Z&to=2026-11-24T01:35:47.000Z"
    for path in ("/", "/requests", "/events", "/errors", "/map"):
        text = client.get(f"{path}?{here}").text
        assert '<time datetime="2026-11-24T01:35:46.000000Z">' in text
        assert "Back to" in text
    assert events.REQUEST_ID in client.get(f"/requests?{here}").text
    assert events.REQUEST_ID not in client.get(f"/requests?{here.replace('T01', 'T00')}").text


def test_times_can_be_of_the_readers_own_zone(client):
    """The address says so; the browser does it."""
    assert '<body data-zone="local">' in client.get("/events?zone=local").text
    assert "When, local time" in client.get("/events?zone=local").text
    assert "When, UTC" in client.get("/events").text


@pytest.mark.parametrize("path", ["/", "/errors", "/map", "/requests"])
def test_a_search_that_cannot_be_read_is_an_answer_on_every_page(client, path):
    """With the reason, and what was typed."""
    answer = client.get(f"{path}?q=level:eror")

    assert answer.status_code == 400
    assert 'value="level:eror"' in answer.text


@pytest.mark.parametrize("path", ["/", "/errors", "/map", "/requests", "/events"])
def test_a_quiet_time_is_said_to_be_quiet(shelf, client, path):
    """Not an empty table."""
    shelf.events = []

    assert "in this period" in text_of(client.get(path))


def test_a_page_of_too_many_events_says_since_when(shelf, client, monkeypatch):
    """Its figures are those of a shorter time; a command has all of them."""
    shelf.events = events.created()
    for module in (lists, figures):
        monkeypatch.setattr(module, "MAX_READ", 2)

    for path, command in (("/summary?of=events", ""), ("/map", "dashcam map"), ("/errors", "")):
        text = text_of(client.get(path))
        assert ("these are the newest" in text) == (path != "/errors"), path
        assert f"{command} counts all" in text or not command
