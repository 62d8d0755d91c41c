"""An open span is known by its ids, its context and the span above it."""

import pytest

from dashcam.record.context.correlation import REQUEST_ID, SERVICE, OpenSpan, ServerRequest
from dashcam.record.context.open_span import open_of
from dashcam.record.context.service import Service

CARS, PARTS = Service("cars", "1", "", "a"), Service("parts", "", "", "b")
ABOVE = OpenSpan("golf-7", "4b" * 16, "0f" * 8, "0e" * 8, "0d" * 8, ServerRequest(path="/cars"), 5, CARS, None, 6)


def opened(above=None, context=None, *, trace_id=0x4B, span_id=0xF0, parent_id=None, is_root=False):
    return open_of(trace_id, span_id, parent_id, above, is_root, context or {}, 7, 8)


def test_ids_in_digits():
    """Each has all of its digits; a root without a parent is its own transaction."""
    found = opened(None, {REQUEST_ID: "golf-1"}, parent_id=0x0E, is_root=True)

    assert found[:5] == ("golf-1", f"{0x4B:032x}", f"{0xF0:016x}", f"{0xF0:016x}", f"{0x0E:016x}")
    assert (found.served, found.service, found.outer_error) == (ServerRequest(), None, None)
    assert (found.monotonic_start_ns, found.start_ns) == (7, 8)


def test_within_a_span():
    """All that the span above knows is true of the new one, whatever trace and parent the SDK gave."""
    found = opened(ABOVE, parent_id=0x0E)

    assert found[:5] == ("golf-7", "4b" * 16, f"{0xF0:016x}", "0e" * 8, "0f" * 8)
    assert (found.served, found.service) == (ABOVE.served, CARS)


def test_its_context_comes_first():
    """A request ID and a service there replace those of the span above; empty ones do not."""
    found = opened(ABOVE, {REQUEST_ID: "golf-1", SERVICE: PARTS})
    assert (found.request_id, found.service) == ("golf-1", PARTS)

    assert opened(ABOVE, {REQUEST_ID: "", SERVICE: None})[:5] == opened(ABOVE)[:5]


def test_a_root_within_a_span():
    """It has that one's trace, and is a transaction and a request of its own."""
    found = opened(ABOVE, is_root=True)

    assert found[:5] == ("golf-7", "4b" * 16, f"{0xF0:016x}", f"{0xF0:016x}", "0f" * 8)
    assert found.served == ServerRequest()


def test_what_is_being_handled():
    """Is known, because it does not end the span."""
    error = ValueError("no wheel")
    try:
        raise error
    except ValueError:
        assert opened().outer_error is error


@pytest.mark.parametrize("ids", [{"trace_id": 1 << 128}, {"span_id": 1 << 64}, {"parent_id": 1 << 64}, {"span_id": -1}])
def test_an_id_that_is_none(ids):
    """Another id generator may give anything; such a span is not recorded."""
    with pytest.raises(OverflowError):
        opened(**ids)
