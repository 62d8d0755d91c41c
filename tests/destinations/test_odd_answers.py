"""Whatever a server answers, a client gives a result or one of our errors: never another exception, never a hang."""

from contextlib import closing, suppress

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.destinations.checks import examine
from dashcam.destinations.destination import KeyFile
from dashcam.destinations.elasticsearch import keys, kibana, streams
from dashcam.destinations.elasticsearch.backend import Elasticsearch
from dashcam.destinations.elasticsearch.checks import engine_checks
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.elasticsearch.store import ElasticsearchStore
from dashcam.destinations.loggly.backend import Loggly
from dashcam.destinations.loggly.store import LogglyStore, Timeouts
from dashcam.errors import BackendUnavailable, BatchRejected, DashcamError, StoreUnreachable
from dashcam.find.query import Query
from dashcam.settings import Secret, load
from dashcam.testing.backend_contract import line

from ..scripted import scripted

pytestmark = pytest.mark.fuzz

NAMES = st.sampled_from(
    [
        "items",
        "create",
        "status",
        "error",
        "type",
        "reason",
        "errors",
        "hits",
        "_source",
        "sort",
        "_shards",
        "failed",
        "timed_out",
        "indices",
        "fields",
        "events",
        "timestamp",
        "raw",
        "logmsg",
        "next",
        "response",
        "version",
        "number",
        "event",
        "json",
        "id",
        "@timestamp",
        "message",
        "labels",
        "distribution",
        "pit_id",
        "_id",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)
BODIES = VALUES.map(orjson.dumps) | st.binary(max_size=60)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 405, 409, 410, 413, 500, 502])
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "Location", "Retry-After"]),
    st.text("abc /:;,-=1", max_size=9).map(str.strip),
    max_size=2,
)
ANSWERS = st.tuples(STATUSES, BODIES, HEADERS)

CLIENTS = {
    "elasticsearch backend": lambda url: Elasticsearch(_engine(url), "default"),
    "elasticsearch store": lambda url: ElasticsearchStore(_engine(url), "default"),
    "loggly backend": lambda url: Loggly(url, Secret("token"), timeout_s=5),
    "loggly store": lambda url: LogglyStore(url, Secret("token"), timeouts=Timeouts(answer_s=5, busy_s=0)),
}


def _engine(url):
    return Client(load(Options, {"ELASTICSEARCH_URL": url}), answer_timeout_s=5)


@pytest.fixture(scope="module")
def server():
    """An address whose answers are those of the list."""
    answers = []
    with scripted(lambda _: answers.pop(0) if len(answers) > 1 else answers[0]) as (url, _):
        yield url, answers


def _look(url, _folder):
    options = load(Options, {"ELASTICSEARCH_URL": url})
    assert [finding.seen for finding in examine(engine_checks("finding", options))]


def _set_up_streams(url, _folder):
    with closing(_engine(url)) as client:
        assert list(streams.set_up(client, "default", 14))


def _set_up_keys(url, folder):
    with closing(_engine(url)) as client:
        assert keys.set_up(client, KeyFile(folder / "keys.env")).done


def _set_up_kibana(url, _folder):
    with closing(Client(load(Options, {"KIBANA_URL": url}), "KIBANA_URL", answer_timeout_s=5)) as client:
        assert kibana.set_up(client, b"{}").done
        assert kibana.add_log_source(client, "default").done
        assert kibana.check_log_sources(client, "default")


BANNER = {"version": {"number": "9.5.3"}}
ODD = [b"[]", b"{}", b"7", b'"text"', b"[7]", b'[{"epoch":"soon"}]', b'{"data_streams":[7]}', b'{"data_streams":[{}]}']
ODD += [b'{".ds":7}', b'{".ds":{"settings":7}}', b'{".ds":{"mappings":7}}', b'{"api_keys":[7]}', b'{"api_keys":7}']
ODD += [b'{"settings":{"observability:logSources":{"userValue":7}}}', b'{"success":true}', b'{"errors":[7]}']


@pytest.mark.parametrize("act", [_look, _set_up_streams, _set_up_keys, _set_up_kibana])
def test_an_odd_answer_is_a_finding_or_an_error(act, tmp_path):
    """Also where it says that it is Elasticsearch."""
    odd = list(ODD)
    with scripted(lambda asked: (200, BANNER if asked.path == "/" else odd[-1])) as (url, _):
        while odd:
            with suppress(DashcamError):
                act(url, tmp_path)
            odd.pop()


@pytest.mark.parametrize("client", CLIENTS)
@given(given_answers=st.lists(ANSWERS, min_size=1, max_size=4))
@example(given_answers=[(200, b'{"items":[{"create":{"status":true}}]}', {})])
@example(given_answers=[(200, b'{"events":[{"timestamp":true,"raw":"{}"}]}', {})])
@example(
    given_answers=[(200, b'{"version":{"number":"9.5.3"}}', {}), (200, b'{"items":[{"create":{"status":2e2}}]}', {})]
)
def test_an_odd_answer_is_a_result_or_an_error(server, client, given_answers):
    """A proxy, another product or a newer version may say anything."""
    url, answers = server
    answers[:] = given_answers
    with closing(CLIENTS[client](url)) as opened, suppress(BackendUnavailable, BatchRejected, StoreUnreachable):
        if "backend" in client:
            result = opened.ship([line(1), line(2)])
            assert result is None or set(result.rejected) | set(result.retry) <= {0, 1}
        else:
            assert all(event.id for event in opened.find(Query(limit=3)))
