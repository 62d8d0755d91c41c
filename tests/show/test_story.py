"""A story holds every event once, in its place, and says what is wrong."""

import json

from hypothesis import given
from hypothesis import strategies as st

from dashcam.event import Event
from dashcam.show.ansi import Style
from dashcam.show.story import as_json, build_story
from dashcam.show.terminal import draw

from . import events


def outline(story):
    return [(node.depth, node.service, node.title) for node in story.entries]


def kinds(notes):
    return [note.kind for note in notes]


def state_of(story, span_id):
    return next(node.state for node in story.entries if node.is_span and node.span_id == span_id)


def test_lines_lie_in_their_spans_in_the_order_things_happened():
    """The tree is the request as it went."""
    story = build_story(events.created())

    assert outline(story) == [
        (0, "cars", "POST /cars"),
        (1, "cars", "creating a car"),
        (1, "cars", "INSERT INTO cars (id, name) VALUES (%s, %s)"),
        (1, "cars", "POST 127.0.0.1:5001/parts"),
        (2, "parts", "POST /parts"),
        (3, "parts", "parts wanted"),
        (3, "parts", "INSERT INTO parts (id, car_id, kind) VALUES %s"),
        (3, "parts", "parts made"),
        (1, "cars", "COMMIT"),
        (1, "cars", "car created"),
    ]
    assert [node.parent and node.parent.index for node in story.entries] == [None, 0, 0, 0, 3, 4, 4, 4, 0, 0]


def test_a_span_counts_what_lies_in_it():
    """The request holds all rows, the call to parts what parts did; failures are counted by themselves."""
    assert [node.size for node in build_story(events.created()).entries] == [9, 0, 0, 4, 3, 0, 0, 0, 0, 0]
    assert build_story(events.failed()).entries[0].errors == 4


def test_the_order_of_arrival_does_not_matter():
    """Events of several spools come as they like."""
    assert as_json(build_story(reversed(events.created()))) == as_json(build_story(events.created()))


def test_an_event_sent_twice_is_told_once():
    """Shippers send at least once."""
    assert as_json(build_story(events.created() * 2)) == as_json(build_story(events.created()))


def test_a_whole_story_has_no_faults():
    """Nothing is wrong with a car that was created."""
    story = build_story(events.created())

    assert (story.outcome, story.errors, story.faults, story.notes) == ("success", 0, (), ())
    assert (story.services, story.request_ids) == (("cars", "parts"), (events.REQUEST_ID,))
    assert (story.trace_ids, story.duration_ns) == ((events.TRACE_ID,), 42_300_000)


def test_a_failure_is_a_failure():
    """The caller got 502."""
    story = build_story(events.failed())

    assert (story.outcome, story.errors, story.faults) == ("failure", 5, ())


def test_an_aborted_request_stands_where_its_span_would():
    """It began as long before its report as its age says."""
    story = build_story(events.aborted())
    aborted = next(node for node in story.entries if node.state == "aborted")

    assert (aborted.title, aborted.depth, aborted.start_ns) == ("POST /parts", 2, events.START_NS + 5_100_000)
    assert kinds(story.faults) == ["aborted"]


def test_a_request_that_nobody_finished_is_aborted():
    """The outcome is that of the span at the top."""
    cars = events.Service("cars", [])
    cars.aborted(10, 10, "POST /cars", events.ROOT)

    assert build_story(cars.events).outcome == "aborted"


def test_a_request_whose_end_damage_may_hide_is_unknown():
    """Neither a success nor a failure: a span of its own, with what is known of it."""
    cars = events.Service("cars", [])
    cars.aborted(10, 10, "POST /cars", events.ROOT, action="request-unknown", outcome="unknown")
    story = build_story(cars.events)

    (span,) = story.entries
    assert (story.outcome, story.errors) == ("unknown", 0)
    assert (span.state, span.title, span.start_ns, span.is_error) == ("unknown", "POST /cars", events.START_NS, False)


def test_a_request_reported_aborted_that_finished_all_the_same_is_finished():
    """The span counts; the report is a line in it."""
    cars = events.Service("cars", [])
    cars.aborted(10, 10, "POST /cars", events.ROOT)
    cars.server(0, 12, "POST /cars", 201, events.ROOT)

    assert [node.state for node in build_story(cars.events).entries] == ["finished", "line"]


def test_a_missing_parent_is_shown_as_missing():
    """What was called hangs below a span of which the id alone is known."""
    story = build_story(events.orphaned())

    assert state_of(story, events.CALL) == "missing"
    assert kinds(story.faults) == ["missing-parent"]
    assert (0, "", f"missing span {events.CALL}") in outline(story)


def test_a_lost_span_of_a_process_keeps_its_place_in_the_request():
    """Its children name the request they belong to."""
    cars = events.Service("cars", [])
    cars.query(2, 1, "COMMIT", events.COMMIT, parent=events.INSERT)
    cars.events[0].fields["transaction"]["id"] = events.ROOT
    cars.server(0, 12, "POST /cars", 201, events.ROOT)

    assert outline(build_story(cars.events)) == [
        (0, "cars", "POST /cars"),
        (1, "cars", f"missing span {events.INSERT}"),
        (2, "cars", "COMMIT"),
    ]


def test_a_span_that_has_not_arrived_holds_its_lines():
    """The log lines say that it was there."""
    story = build_story(events.unfinished())

    assert state_of(story, events.ROOT) == "unfinished"
    assert (story.outcome, story.server_span) == ("unknown", None)


def test_a_caller_who_records_elsewhere_is_no_fault():
    """The root carries a parent that nobody knows: somebody outside asked."""
    story = build_story(events.called_from_outside())

    assert (kinds(story.entries[0].notes), story.faults) == (["called-from-outside"], ())
    assert story.outcome == "success"


def test_a_caller_who_records_too_is_not_who_answered():
    """The outcome is that of the request, not of the call."""
    script, cars = events.Service("script", []), events.Service("cars", [])
    script.client(0, 50, "GET http://cars/cars", 200, events.CALL, parent="")
    cars.server(1, 48, "GET /cars", 200, events.SERVED, parent=events.CALL)
    story = build_story(script.events + cars.events)

    assert (story.server_span.service, story.outcome, story.faults) == ("cars", "success", ())


def test_two_roots_are_named():
    """One trace has one beginning."""
    assert kinds(build_story(events.two_roots()).notes) == ["several-roots"]


def test_two_traces_under_one_request_id_are_named():
    """A request ID sent twice gives two traces, each told by itself."""
    story = build_story(events.two_traces())

    assert kinds(story.notes) == ["several-traces"]
    assert [node.trace_id for node in story.entries] == [events.TRACE_ID, "b" * 32, "b" * 32]


def test_events_without_a_trace_are_told_too():
    """In time order, and said to be so."""
    story = build_story(events.traceless())

    assert outline(story) == [(0, "worker", "sweep begins"), (0, "worker", "sweep is over")]
    assert kinds(story.notes) == ["no-trace"]


def test_cut_and_mended_values_are_named():
    """The event carries a tag."""
    assert [kinds(node.notes) for node in build_story(events.traceless()).entries] == [["mended"], ["cut"]]


def test_parents_in_a_circle_are_cut():
    """No event gets lost in it."""
    cars = events.Service("cars", [])
    cars.server(0, 9, "GET /a", 200, "aa", parent="bb")
    cars.server(1, 9, "GET /b", 200, "bb", parent="aa")
    story = build_story(cars.events)

    assert outline(story) == [(0, "cars", "GET /a"), (1, "cars", "GET /b")]
    assert kinds(story.faults) == ["circle"]


def test_a_span_id_used_twice_is_named():
    """Both spans are told."""
    cars = events.Service("cars", [])
    cars.server(0, 9, "GET /a", 200, "aa")
    cars.server(1, 9, "GET /b", 200, "aa")

    assert "span-id-twice" in kinds(build_story(cars.events).faults)


def test_an_event_without_a_time_comes_last():
    """It has no place on the time line."""
    cars = events.Service("cars", [])
    cars.line(1, "when?", "")
    cars.line(2, "then", "")
    cars.events[0].fields["@timestamp"] = "yesterday"
    story = build_story(cars.events)

    assert [node.title for node in story.entries] == ["then", "when?"]
    assert kinds(story.entries[1].notes) == ["no-time"]


def test_no_events_make_an_empty_story():
    """Nothing was found."""
    assert (build_story([]).entries, build_story([]).outcome, build_story([]).duration_ns) == ((), "unknown", 0)


def test_json_has_the_tree_and_the_events():
    """The shape that programs read."""
    made = as_json(build_story(events.aborted()))

    assert json.loads(json.dumps(made)) == made
    assert {key: value for key, value in made.items() if key != "entries"} == {
        "request_ids": [events.REQUEST_ID],
        "trace_ids": [events.TRACE_ID],
        "services": ["cars", "parts"],
        "start": "2026-11-24T01:35:46.123000Z",
        "duration_ns": 14_100_000,
        "outcome": "failure",
        "errors": 3,
        "notes": [],
    }
    assert {key: value for key, value in made["entries"][3].items() if key != "event"} == {
        "state": "aborted",
        "title": "POST /parts",
        "depth": 2,
        "parent": 2,
        "trace_id": events.TRACE_ID,
        "span_id": events.SERVED,
        "service": "parts",
        "time": "2026-11-24T01:35:46.128100Z",
        "offset_ns": 5_100_000,
        "duration_ns": 7_300_000,
        "shift_ns": 0,
        "error": True,
        "notes": [{"kind": "aborted", "text": "request aborted: the process 4242 was killed"}],
    }


JUNK = (None, True, -1, 7, 2**70, 0.5, "", "x\n", "\x1b[1m", "error", [], ["cut", {}], {}, {"id": "aa", "name": []})

TIMES = ("soon", "0001-01-01T00:00:00+14:00", "2026-11-24T01:35:46Z", "2026-11-24T01:35:49Z", "9999-12-31T23:59:59Z")


def mostly(*values):
    """These values, and now and then something else."""
    return st.sampled_from([*values * 6, *JUNK])


IDS = mostly("", "aa", "bb", "cc")

ODD_EVENTS = st.fixed_dictionaries(
    {
        "@timestamp": mostly(*TIMES),
        "processor": st.fixed_dictionaries({"event": mostly("transaction", "span", "")}),
        "event": st.fixed_dictionaries(
            {"id": mostly("1", "2", "3", "4"), "duration": mostly(1), "action": mostly("request-aborted", "")}
        ),
        "trace": st.fixed_dictionaries({"id": mostly("", "t")}),
        "span": st.fixed_dictionaries({"id": IDS, "kind": mostly("server", "client")}),
        "parent": st.fixed_dictionaries({"id": IDS}),
        "transaction": st.fixed_dictionaries({"id": IDS}),
        "host": st.fixed_dictionaries({"name": mostly("h1", "h2")}),
        **{name: st.sampled_from(JUNK) for name in ("message", "log.level", "labels", "tags", "http", "url", "db")},
    }
).map(Event)


@given(st.lists(ODD_EVENTS, max_size=8))
def test_any_events_make_a_story_that_holds_each_once(some):
    """Whatever a store gives back is told, drawn and encoded."""
    story = build_story(some)
    told = [node.event for node in story.entries if node.event]

    ids = [event.get("event.id") for event in some]
    unique = [event for place, event in enumerate(some) if not is_id(ids[place]) or ids.index(ids[place]) == place]
    assert sorted(map(id, told)) == sorted(map(id, unique))
    assert as_json(story)["entries"] or not some
    assert list(draw(story, Style(width=60)))


def is_id(value):
    return isinstance(value, str | int | float) and str(value) != ""


@given(st.randoms())
def test_order_never_matters(random):
    """The same story from the same events, however they are shuffled."""
    for make in (events.failed, events.skewed, events.orphaned, events.two_traces):
        shuffled = make()
        random.shuffle(shuffled)
        assert as_json(build_story(shuffled)) == as_json(build_story(make()))


def test_a_chain_of_two_thousand_spans_is_told():
    """Nothing recurses: Python's own limit is a thousand calls."""
    cars = events.Service("cars", [])
    for number in range(2_000):
        cars.server(number, 1, "GET /deep", 200, f"{number:016x}", parent=f"{number - 1:016x}" if number else "")
    story = build_story(cars.events)

    assert story.entries[-1].depth == 1_999
    assert sum(1 for _ in draw(story, Style(width=120))) > 2_000


def _with_clip(incomplete=""):
    """A story whose DEBUG line was held, and the event that says why its request was kept."""
    found = list(events.failed())
    held = next(event for event in found if not event.is_span)
    fields = held.fields | {"log.level": "debug", "event": held.fields["event"] | {"reason": "5xx", "id": "held-1"}}
    report = {
        "@timestamp": "2026-11-24T02:00:00.000000Z",
        "log.level": "info",
        "message": "request kept: 5xx" + (f"; {incomplete}" if incomplete else ""),
        "http": {"request": {"id": events.REQUEST_ID}},
        "event": {"action": "request-kept", "reason": "5xx", "id": "kept-1"},
    }
    return [*found, Event(fields), Event(report)]


def test_a_story_says_why_it_was_kept():
    """As a remark: that its request was kept happened later, and is no part of it."""
    plain, story = build_story(events.failed()), build_story(_with_clip())

    assert [(note.kind, note.text) for note in story.notes] == [("kept", "kept: 5xx; 1 held line came with it")]
    assert (story.faults, story.duration_ns) == ((), plain.duration_ns)
    assert len(story.entries) == len(plain.entries) + 1
    assert [node.event.id for node in story.entries if node.event and node.came_with_clip] == ["held-1"]


def test_a_story_says_what_its_clip_lacks():
    """Lines that expired before the verdict."""
    story = build_story(_with_clip("clip incomplete: 214 lines expired"))

    assert [note.text for note in story.faults] == ["clip incomplete: 214 lines expired"]
