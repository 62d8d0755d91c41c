"""What is known of an open span is the same whether C or Python puts it together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context

from dashcam.record import correlation, open_span
from dashcam.record.correlation import REQUEST_ID, SERVICE, OpenSpan, ServerRequest
from dashcam.record.recorder import Service

ids = st.integers(-1, 1 << 65) | st.sampled_from([0, 1, (1 << 64) - 1, 1 << 64])
traces = ids | st.integers(0, 1 << 129) | st.sampled_from([(1 << 128) - 1, 1 << 128])
services = st.sampled_from([None, Service("cars", "1", "", "a"), Service("parts", "", "", "b")])
texts = st.sampled_from(["", "golf-1", "ü", None, 7])
contexts = st.fixed_dictionaries({"another": st.none()}, optional={REQUEST_ID: texts, SERVICE: services})
spans = st.builds(
    OpenSpan,
    request_id=st.sampled_from(["", "golf-7"]),
    trace_id=st.just("4b" * 16),
    span_id=st.just("0f" * 8),
    transaction=st.just("0e" * 8),
    parent_id=st.just(""),
    served=st.none() | st.builds(ServerRequest),
    monotonic_start_ns=st.just(5),
    service=services,
    outer_error=st.none(),
    start_ns=st.just(6),
)


def opened(open_of, *values):
    try:
        found = open_of(*values)
    except OverflowError:
        return "too large"
    assert type(found) is OpenSpan
    return found


@pytest.mark.fuzz
@given(st.tuples(traces, ids, st.none() | ids, st.none() | spans, st.booleans(), contexts.map(Context)))
def test_any_span(known):
    """Whatever its ids, its context and the span above it, also while an exception is handled."""
    values = *known, 7, 8
    assert opened(open_span.open_of, *values) == opened(open_span.python_open_of, *values)

    try:
        raise ValueError("no wheel")  # noqa: TRY301 — a span may begin in the middle of that
    except ValueError:
        assert opened(open_span.open_of, *values) == opened(open_span.python_open_of, *values)


@pytest.mark.fuzz
@given(st.integers(-5, 1 << 65), st.integers(0, (1 << 80) - 1))
def test_any_request_id(time_ms, bits):
    """Whatever the time and the random bits are."""
    assert correlation.uuid_of(time_ms, bits) == correlation.python_uuid_of(time_ms, bits)


def test_a_request_id_sorts_by_time():
    """It has the form of RFC 9562."""
    assert correlation.uuid_of(1795484146_123, (1 << 80) - 1) == "01a20b31-d9cb-7fff-bfff-ffffffffffff"


def test_ids_in_digits():
    """Each has all of its digits; a root without a parent is its own transaction."""
    found = open_span.open_of(0x4B, 0xF0, 0x0E, None, True, {REQUEST_ID: "golf-1"}, 7, 8)  # noqa: FBT003

    assert found[:5] == ("golf-1", f"{0x4B:032x}", f"{0xF0:016x}", f"{0xF0:016x}", f"{0x0E:016x}")
    assert (found.served, found.service, found.outer_error) == (ServerRequest(), None, None)
    assert (found.monotonic_start_ns, found.start_ns) == (7, 8)
