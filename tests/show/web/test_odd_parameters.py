"""Whatever stands in an address, the viewer answers with a page of its own and runs nothing of it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.record.masking.mask import mask_event
from dashcam.show.web.app import create_app

from .. import events
from ..shelf import Shelf, finder

pytestmark = pytest.mark.fuzz

SOON_NS = events.START_NS + 60 * 10**9
PATHS = st.sampled_from(
    [
        "/",
        "/requests",
        "/events",
        "/errors",
        "/map",
        "/summary",
        "/compare",
        "/story",
        "/story.json",
        "/story.html",
        "/lost",
        "/static/x",
    ]
)
NAMES = st.sampled_from(
    [
        "q",
        "id",
        "other",
        "since",
        "after",
        "before",
        "from",
        "to",
        "columns",
        "facet",
        "zone",
        "of",
        "status",
        "service",
        "path",
    ]
)
ODD = [
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "-1",
    "1e999",
    str(2**80),
    "\x00",
    "\ud7ff",
    "'\"><img>",
    "%",
    "*",
]
TEXTS = st.sampled_from([*ODD, events.REQUEST_ID, "24h", "car_id=7", "level:error"]) | st.text(max_size=12)


@pytest.fixture(scope="module")
def client():
    return create_app(finder(Shelf(events.created()), mask_event), clock=lambda: SOON_NS).test_client()


@given(path=PATHS, parameters=st.dictionaries(NAMES, TEXTS, max_size=4))
@example(path="/story", parameters={"id": "events"})
@example(path="/summary", parameters={"q": "("})
@example(path="/events", parameters={"q": '"', "before": "-1"})
def test_no_address_breaks_a_page(client, path, parameters):
    """An answer that is not the page asked for says so, and what was typed is text in it."""
    with client.get(path, query_string=parameters) as answer:
        assert answer.status_code in {200, 302, 304, 400, 404}
        assert "<script>alert" not in answer.get_data(as_text=True)
