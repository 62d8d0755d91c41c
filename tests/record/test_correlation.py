"""The IDs that this process makes."""

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from dashcam.record.context import correlation


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 80) - 1))
def test_any_request_id(time_ms, bits):
    """It is a UUID of version 7, with the time in front and every random bit that the version leaves free."""
    text = correlation.uuid_of(time_ms, bits)
    found = UUID(text)

    assert (str(found), found.version, found.variant) == (text, 7, RFC_4122)
    assert found.int >> 80 == time_ms
    assert found.int & ~(0xF << 76 | 3 << 62) & (1 << 80) - 1 == bits & ~(0xF << 76 | 3 << 62)


def test_a_request_id_sorts_by_time():
    """It has the form of RFC 9562."""
    assert correlation.uuid_of(1795484146_123, (1 << 80) - 1) == "01a20b31-d9cb-7fff-bfff-ffffffffffff"


def test_request_ids_differ():
    """Also within one millisecond."""
    assert len({correlation.new_request_id() for _ in range(1000)}) == 1000
