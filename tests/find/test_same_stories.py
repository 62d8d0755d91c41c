"""A story reads the same, whichever store it comes from, and so do the numbers of all of them."""

from contextlib import contextmanager

import pytest

from dashcam.destinations.elasticsearch import store as elasticsearch
from dashcam.destinations.elasticsearch.backend import connect
from dashcam.destinations.local import backend as local_backend
from dashcam.destinations.local.options import Options as LocalOptions
from dashcam.destinations.local.search import store as local
from dashcam.destinations.loggly import backend as loggly_backend
from dashcam.destinations.loggly import store as loggly
from dashcam.destinations.loggly.options import Options as LogglyOptions
from dashcam.event import NS_PER_S
from dashcam.find.language import parse
from dashcam.find.query import Query
from dashcam.find.related import find_related_events
from dashcam.settings import load
from dashcam.ship.delivery import batches
from dashcam.show import errors, service_map
from dashcam.show.ansi import Style
from dashcam.show.overview import count_requests
from dashcam.show.story import build_story
from dashcam.show.summary import summarize
from dashcam.show.terminal import draw
from dashcam.testing import sample
from dashcam.testing.fake_loggly import Behaviour, StandIn

from ..engines.streams import documents, set_up, settings_for


def local_store(folder, lines):
    settings = load(LocalOptions, {"DASHCAM_DIR": str(folder), "DASHCAM_RETENTION": "36500d"})
    backend = local_backend.connect(settings)
    backend.ship(lines)
    backend.close()
    return local.open_store(settings)


def engine_store(url, namespace, lines):
    settings = settings_for(url, namespace)
    set_up(settings)
    backend = connect(settings)
    for first in range(0, len(lines), backend.limits.events):
        assert backend.ship(lines[first : first + backend.limits.events]) is None
    backend.close()
    documents(settings)
    return elasticsearch.open_store(settings)


@contextmanager
def loggly_store(lines):
    with StandIn(Behaviour(drift_s=60)) as stand_in:
        settings = load(LogglyOptions, stand_in.environment())
        backend = loggly_backend.connect(settings)
        for batch in batches(lines, backend.limits):
            assert backend.ship(batch) is None
        backend.close()
        store = loggly.open_store(settings)
        yield store
        store.close()


def drawn(store, request_id):
    return list(draw(build_story(find_related_events(store, request_id)), Style()))


# One of each kind: served, failed, aborted, and both; in the long form all of ten times as many.
SOME = [*range(14), 64]
ALL = pytest.param(range(1000), marks=[pytest.mark.long, pytest.mark.timeout(900)], id="each of 1000")


@pytest.mark.parametrize("told", [pytest.param(SOME, id="some of 65"), ALL])
def test_stories_from_an_engine_are_those_of_the_local_store(engine_url, namespace, tmp_path, told):
    """Line by line, for each request that is told."""
    lines = sample.requests(told[-1] + 1)
    own = local_store(tmp_path, lines)
    engine = engine_store(engine_url, namespace, lines)

    for number in told:
        story = drawn(engine, f"req-{number:04d}")
        assert len(story) > 5
        assert story == drawn(own, f"req-{number:04d}")

    engine.close()
    own.close()


@pytest.mark.parametrize("told", [pytest.param(SOME, id="some of 65"), ALL])
def test_stories_from_loggly_are_those_of_the_local_store(tmp_path, told):
    """Line by line, for each request that is told, though Loggly stamped them all anew; and each event is the same."""
    lines = sample.requests(told[-1] + 1)
    own = local_store(tmp_path, lines)

    with loggly_store(lines) as hosted:
        for number in told:
            events = find_related_events(hosted, f"req-{number:04d}")
            assert events == find_related_events(own, f"req-{number:04d}")
            assert list(draw(build_story(events), Style())) == drawn(own, f"req-{number:04d}")
            assert len(events) > 5

    own.close()


def numbers(store, text="*"):
    """The overview, the histogram, the facets, the errors and the map of everything."""
    wanted, since_ns, until_ns = parse(text), sample.START_NS, sample.START_NS + 24 * 3600 * NS_PER_S
    rows = count_requests(store, Query(wanted, since_ns, until_ns))
    summary = summarize(store, Query(wanted, since_ns, until_ns))
    return (
        {key: (row.requests, row.failures, row.durations) for key, row in rows.items()},
        (summary.bars, summary.facets),
        [errors.as_json(group) for group in errors.find_errors(store, wanted, since_ns, until_ns)],
        [service_map.as_json(edge) for edge in service_map.build_map(store, wanted, since_ns, until_ns).calls],
    )


REQUESTS = 40


def test_numbers_from_an_engine_are_those_of_the_local_store(engine_url, namespace, tmp_path):
    """Whether a store counts or is read: requests, failures and times, aborted ones among them."""
    lines = sample.requests(REQUESTS)
    own = local_store(tmp_path, lines)
    engine = engine_store(engine_url, namespace, lines)

    for text in ("*", "service:cars", "status:>=500 OR level:error"):
        assert numbers(engine, text) == numbers(own, text), text
    assert sum(requests for requests, *_ in numbers(own)[0].values()) == 2 * REQUESTS

    engine.close()
    own.close()


def test_numbers_from_loggly_are_those_of_the_local_store(tmp_path):
    """All of them are read there."""
    lines = sample.requests(REQUESTS)
    own = local_store(tmp_path, lines)

    with loggly_store(lines) as hosted:
        assert numbers(hosted) == numbers(own)

    own.close()
