"""What Loggly documents of searching, held against the stand-in."""

import time

import pytest
import requests

LINE = {
    "timestamp": "2026-11-24T01:35:46.123456Z",
    "message": "connection refused by parts",
    "http": {"response": {"status_code": 503}},
    "labels": {"car_id": "a-1", "gone": None, "wheels": [4, 5], "ok": True},
}


def test_an_event_reads_back_as_it_was_recorded(client):
    """Nested objects stay under json, nulls vanish, the line stays in raw and logmsg, times are in ms."""
    client.send(LINE, headers={"Content-Type": "application/json"})

    event = client.find("*")[0]

    assert event["timestamp"] == 1795484146123
    assert event["logtypes"] == ["json"]
    assert event["raw"] == event["logmsg"]
    assert event["unparsed"] is None
    assert event["event"]["json"]["labels"] == {"car_id": "a-1", "wheels": [4, 5], "ok": True}
    assert event["event"]["http"] == {"clientHost": "127.0.0.1", "contentType": "application/json"}


def test_a_line_that_is_no_json_is_text(client):
    """It is found by its words."""
    client.send(b"plain text")

    assert client.find('"plain text"')[0]["logtypes"] == []


@pytest.mark.parametrize(
    "query",
    [
        "*",
        '"connection refused"',
        "CONNECTION parts",
        'json.labels.car_id:"a-1"',
        "json.http.response.status_code:503",
        'json.http.response.status_code:"503"',
        "json.http.response.status_code:[500 TO 599]",
        'json.labels.ok:"true"',
        "json.labels.wheels:5",
        'tag:"cars" AND (json.message:refused OR json.message:nothing)',
        'refused -"by cars"',
    ],
)
def test_forms_that_clients_use_find_it(client, query):
    """Blanks mean AND, words are found without regard to capitals."""
    client.send(LINE)

    assert len(client.find(query)) == 1


@pytest.mark.parametrize(
    "query",
    [
        '"refused connection"',
        'json.labels.car_id:"a-2"',
        "json.http.response.status_code:[504 TO 599]",
        "json.labels.gone:null",
        'tag:"parts"',
        'connection -"refused by"',
        '"---"',
    ],
)
def test_forms_that_clients_use_leave_it(client, query):
    """Words out of order, other values, what was null, and text without a word find nothing."""
    client.send(LINE)

    assert client.find(query) == []


@pytest.mark.parametrize(
    "query",
    ["json.labels.car_id:*", "json.message:conn*", "NOT nothing", "json.http.response.status_code:[500 TO *]"],
)
def test_forms_no_client_uses_are_a_habit(client, start, query):
    """They are Lucene's, and Loggly's documentation of them could not be read."""
    lucene = start(lucene=True)
    lucene.send(LINE)

    assert client.get("events/iterate", q=query).status_code == 400
    assert len(lucene.find(query)) == 1


UNREADABLE = [
    *(" ", "(", "(a", "a )", "a AND", "OR a", "a OR", 'a:"', 'a "b', "json.a:", "json.a:AND", "json.a:(b c)"),
    *("json.a:[1 TO 2", "json.a:[1 2]", "json.a:>1", "json.a:/x/", "a~2", "json.a:b^2", "+a", "-a"),
]


@pytest.mark.parametrize("query", UNREADABLE)
def test_what_cannot_be_read_is_a_bad_query(client, query):
    """Status 400, and where."""
    answer = client.get("events/iterate", q=query)

    assert answer.status_code == 400
    assert answer.text.startswith("cannot parse the query at position ")


@pytest.mark.parametrize(
    ("query", "found"),
    [("a OR b AND c", "a ab bc"), ("a OR b c", "bc"), ("(a OR b) AND c", "bc"), ('a OR b -"c"', "a ab"), ("TO", "")],
)
def test_and_binds_before_or_and_or_before_a_blank(client, query, found):
    """Brackets go before all of them, and `TO` is a word outside of a range."""
    texts = {b"a": "a", b"b a": "ab", b"c b": "bc", b"c": "c"}
    client.send(*texts)

    assert " ".join(texts[text.encode()] for text in client.texts(query)) == found


def test_a_range_of_negative_numbers(client):
    """The minus is the number's."""
    client.send({"size": -3}, {"size": 3})

    assert client.texts("json.size:[-5 TO -1]") == ['{"size":-3}']


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("-", ""), ("NOT ", "")])
def test_nesting_has_a_limit(start, opening, closing):
    """However it is made, it ends before Python's own."""
    client = start(lucene=True)

    statuses = [
        client.get("events/iterate", q=opening * depth + "a" + closing * depth).status_code for depth in (99, 100, 2000)
    ]

    assert statuses == [200, 400, 400]


def test_values_may_have_to_be_whole(start):
    """With that habit a word of a value does not find it."""
    client = start(whole_values=True)
    client.send(LINE)

    assert client.find('json.message:"refused"') == []
    assert len(client.find('json.message:"Connection refused by parts"')) == 1


def test_values_may_be_found_in_the_line_alone(start):
    """A line break is two characters in the line as sent, and the second one sticks to the next word."""
    line = {"message": "first\nsecond"}
    everywhere, line_alone = start(), start(indexes_values=False)
    everywhere.send(line)
    line_alone.send(line)

    assert len(everywhere.find("second")) == 1
    assert line_alone.find("second") == []


def test_too_many_fields_leave_the_text(start):
    """No field is found, the words are."""
    client = start(most_fields=3)
    client.send(LINE)

    assert client.find('json.labels.car_id:"a-1"') == []
    assert len(client.find('"a-1"')) == 1


def test_a_field_may_keep_its_first_type(start):
    """A later value of another type is not found by the field."""
    client = start(one_type=True)
    client.send({"size": 5}, {"size": "five"})

    assert client.texts("json.size:five") == []
    assert client.texts("json.size:5") == ['{"size":5}']


@pytest.mark.parametrize(
    ("stamp", "time_ms"),
    [
        ("2013-10-11T22:14:15.003000Z", 1381529655003),
        ("2013-10-11T22:14:15.003Z", 1381529655003),
        ("2013-10-11T22:14:15.003000+0200", 1381522455003),
        ("2017-11-01T07:18:44.942000", 1509520724942),
    ],
)
def test_an_iso_timestamp_is_the_events_time(client, stamp, time_ms):
    """Without a zone it is UTC."""
    client.send({"timestamp": stamp})

    assert client.find("*", **{"from": "2013-01-01T00:00:00Z"})[0]["timestamp"] == time_ms


@pytest.mark.parametrize("line", [{"@timestamp": "2013-10-11T22:14:15Z"}, {"timestamp": 1381529655}, b"text"])
def test_anything_else_gets_the_time_of_arrival(client, line):
    """`@timestamp` is not known, numbers are not taken."""
    before_ms = time.time_ns() // 1_000_000

    client.send(line)

    assert client.find("*")[0]["timestamp"] >= before_ms


def test_an_old_event_may_get_the_time_of_arrival(start):
    """The drift correction has a threshold nobody could read."""
    client = start(drift_s=3600)
    before_ms = time.time_ns() // 1_000_000

    client.send({"timestamp": "2026-01-01T00:00:00Z"})

    assert client.find("*")[0]["timestamp"] >= before_ms


def test_an_event_may_take_time_to_be_found(start):
    """It is received at once and found later."""
    client = start(delay_s=3600)
    client.send(LINE)

    assert client.stand_in.lines() != []
    assert client.find("*") == []


def test_pages_follow_each_other(client):
    """A page holds 50 to 1,000 events, `next` is a whole URL and takes no other parameter; the last page has none."""
    client.send(*({"n": n} for n in range(120)))

    first = client.get("events/iterate", q="*", size=50, order="asc").json()
    headers = {"Authorization": f"bearer {client.stand_in.behaviour.api_token}"}
    spoilt = requests.get(first["next"] + "&size=60", headers=headers, timeout=5)
    second = requests.get(first["next"], headers=headers, timeout=5).json()
    third = requests.get(second["next"], headers=headers, timeout=5).json()

    assert spoilt.status_code == 400
    assert [len(page["events"]) for page in (first, second, third)] == [50, 50, 20]
    assert "next" not in third


@pytest.mark.parametrize("size", ["49", "1001", "many"])
def test_a_page_has_its_limits(client, size):
    """Other sizes are a bad request."""
    assert client.get("events/iterate", q="*", size=size).status_code == 400


def test_a_cursor_dies(start):
    """After its time without a call it is forgotten."""
    client = start(cursor_life_s=0)
    client.send(*({"n": n} for n in range(60)))

    first = client.get("events/iterate", q="*", size=50)

    assert first.status_code == 404


def test_newest_come_first_unless_asked(client):
    """The order is desc by default."""
    client.send({"timestamp": "2026-11-01T00:00:00Z"}, {"timestamp": "2026-11-02T00:00:00Z"})

    raws = [event["raw"] for event in client.get("events/iterate", q="*").json()["events"]]

    assert raws == ['{"timestamp":"2026-11-02T00:00:00Z"}', '{"timestamp":"2026-11-01T00:00:00Z"}']


def test_a_span_has_its_ends(client):
    """From is in, until is not; both may be ISO times."""
    client.send(*({"timestamp": f"2026-11-0{day}T00:00:00Z"} for day in (1, 2, 3)))

    found = client.find("*", **{"from": "2026-11-01T00:00:00.000Z", "until": "2026-11-03T00:00:00.000Z"})

    assert [event["timestamp"] for event in found] == [1793491200000, 1793577600000]


@pytest.mark.parametrize(
    "parameters", [{"from": "yesterday"}, {"order": "up"}, {"from": "now", "until": "-1h"}, {"q": "("}]
)
def test_bad_parameters_are_a_bad_request(client, parameters):
    """Status 400."""
    assert client.get("events/iterate", **parameters).status_code == 400


def test_the_customer_token_does_not_search(client):
    """Neither token does the other's work, and none does nothing."""
    for value in (f"bearer {client.token}", ""):
        headers = {"Authorization": value}
        assert requests.get(f"{client.url}/apiv2/events/iterate", headers=headers, timeout=5).status_code == 401


def test_too_many_searches_are_refused(start):
    """Searches have a limit, sending has none."""
    client = start(queries_per_s=0.1)

    statuses = [client.get("events/iterate", q="*").status_code for _ in range(2)]

    assert statuses == [200, 503]
    assert [client.send(b"x").status_code for _ in range(3)] == [200, 200, 200]


def test_searches_have_faults_of_their_own(client):
    """A fault planned for searching does not touch sending."""
    client.stand_in.searching.plan("504")

    assert client.send(b"x").status_code == 200
    assert client.get("events/iterate", q="*").status_code == 504
