"""The map: who calls whom, how often, and where no answer came."""

from dashcam.find.query import MatchAll
from dashcam.show.service_map import Place, as_json, build_map, draw_map, map_calls

from . import events
from .shelf import Shelf

CARS, PARTS = Place("service", "cars"), Place("service", "parts")


def edges(found):
    return {(edge.source.name, edge.target.name): (edge.calls, edge.failures, edge.unanswered) for edge in found.calls}


def test_a_call_leads_to_the_service_that_served_it():
    """Statements lead to a database."""
    found = build_map(Shelf(events.created()), MatchAll(), events.START_NS, events.START_NS + 10**9)

    assert edges(found) == {
        ("cars", "parts"): (1, 0, 0),
        ("cars", "postgresql cars"): (2, 0, 0),
        ("parts", "postgresql parts"): (1, 0, 0),
    }
    assert found.places == (CARS, PARTS, Place("database", "postgresql cars"), Place("database", "postgresql parts"))
    assert found.columns() == dict(zip(found.places, [0, 1, 1, 2], strict=True))


def test_too_many_calls_are_of_a_shorter_time():
    """So that a rate is one of that time, and what was left out is said."""
    spans = events.created()
    until_ns = events.START_NS + 10**9

    found = build_map(Shelf(spans), MatchAll(), events.START_NS - 10**9, until_ns, most=2)

    assert found.cut_ns in {event.time_ns + 1 for event in spans if event.is_span}
    assert found.period_s == (until_ns - found.cut_ns) / 10**9
    assert sum(edge.calls for edge in found.calls) <= 2
    assert build_map(Shelf(spans), MatchAll(), events.START_NS, until_ns, most=99).cut_ns is None


def test_a_host_that_nobody_serves_is_outside():
    """Without user and password, with its port."""
    cars = events.Service("cars", [])
    cars.client(0, 5, "GET https://me:secret@api.example.com:8443/x?y=1", 200, "1" * 16, parent=events.ROOT)

    assert edges(map_calls(cars.events, 1)) == {("cars", "api.example.com:8443"): (1, 0, 0)}


def test_a_call_without_an_answer_is_broken():
    """It leads to where the other calls of that host went, though nobody served it."""
    lost = events.Service("cars", [], trace_id="c" * 32, segment="3" * 24)
    lost.client(0, 3000, "POST http://127.0.0.1:5001/parts", 0, events.CALL, parent=events.ROOT)
    found = map_calls([*events.created(), *lost.events], 60)

    assert edges(found)["cars", "parts"] == (2, 1, 1)
    assert [edge.is_broken for edge in found.calls if edge.target == PARTS] == [True]
    assert as_json(next(edge for edge in found.calls if edge.target == PARTS)) == {
        "source": "cars",
        "target": "parts",
        "target_kind": "service",
        "calls": 2,
        "failures": 1,
        "unanswered": 1,
        "p50": 31_200_000,
        "p95": 3_000_000_000,
        "p99": 3_000_000_000,
    }


def test_a_circle_is_drawn_to_its_end():
    """Two services that call each other."""
    found = map_calls([*_call("cars", "parts", "1"), *_call("parts", "cars", "2")], 1)

    assert list(draw_map(found))[:3] == ["cars", "    ──▶ parts", "        ──▶ cars (above)"]
    assert sorted(found.columns().values()) == [0, 1]


def _call(source, target, digit):
    caller = events.Service(source, [], trace_id=digit * 32)
    served = events.Service(target, caller.events, trace_id=digit * 32)
    caller.client(0, 5, f"GET http://{target}/", 200, digit * 16, parent=events.ROOT)
    served.server(1, 3, "GET /", 200, "9" * 16, parent=digit * 16)
    return caller.events


def test_the_drawing():
    """A tree of calls, then a table; in ASCII, too."""
    found = map_calls(events.aborted(), 10)

    assert list(draw_map(found)) == [
        "cars",
        "    ──✗ parts",
        "",
        "from  to        calls       /s  failed  no answer      p95",
        "cars  parts         1     0.10  100.0%          1  9.80 ms",
    ]
    assert list(draw_map(found, ascii_only=True))[1] == "    --x parts"


def test_sixty_places_are_sorted():
    """Callers stand before those that they call."""
    calls = [event for number in range(30) for event in _chain(number)]
    found = map_calls(calls, 1)

    columns = found.columns()
    assert len(found.places) == 60
    assert all(columns[edge.source] < columns[edge.target] for edge in found.calls)


def _chain(number):
    caller = events.Service(f"s{number:02}", [], trace_id=f"{number:032x}")
    caller.client(0, 5, f"GET http://s{number + 1:02}/", 200, "1" * 16, parent=events.ROOT)
    events.Service(f"s{number + 1:02}", caller.events, trace_id=f"{number:032x}").server(
        1, 3, "GET /", 200, "9" * 16, parent="1" * 16
    )
    caller.query(1, 1, "SELECT 1", "2" * 16, parent=events.ROOT)
    return caller.events if number else caller.events[:2]
