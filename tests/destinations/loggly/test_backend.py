"""Sending to Loggly: what goes over the wire, and what each answer means."""

import logging
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest

from dashcam.destinations.loggly.backend import Loggly, connect, dated
from dashcam.destinations.loggly.options import Options
from dashcam.errors import BackendUnavailable, BatchRejected, SettingsError
from dashcam.event import EncodedEvent
from dashcam.settings import Secret, load
from dashcam.ship.batch import PartialResult
from dashcam.testing.backend_contract import BackendContract
from dashcam.testing.fake_loggly import Behaviour, StandIn

TOKEN = "0a1b2c3d-token-that-nobody-may-see"
LOG = b'{"@timestamp":"2026-11-24T01:35:46.123456Z","message":"car created","event":{"id":"seg-00000001"}}'
SPAN = b'{"@timestamp":"2026-11-24T01:35:46.123456Z","timestamp":{"us":1795484146123456},"event":{"id":"seg-00000002"}}'


def line(data, number=1):
    return EncodedEvent(f"seg-{number:08}", b'"timestamp"' in data, data)


@pytest.fixture
def stand_in():
    with StandIn(Behaviour(token=TOKEN)) as stand_in:
        yield stand_in


@pytest.fixture
def backend(stand_in):
    backend = Loggly(stand_in.url, Secret(TOKEN), ("cars", "dashcam"))
    yield backend
    backend.close()


class Destination:
    """The stand-in, read as every reader of Loggly has to: doubles are one."""

    def __init__(self, stand_in):
        self.stand_in = stand_in

    def connect(self):
        return Loggly(self.stand_in.url, Secret(TOKEN))

    def arrived(self):
        events = map(orjson.loads, self.stand_in.lines())
        return list({event["event"]["id"]: event for event in events}.values())

    def stop(self):
        self.stand_in.stop()


class TestLoggly(BackendContract):
    @pytest.fixture
    def destination(self, stand_in):
        return Destination(stand_in)


def test_an_event_gets_its_time_where_loggly_looks():
    """`timestamp` is in front, the rest is as it was."""
    assert dated(LOG) == b'{"timestamp":"2026-11-24T01:35:46.123456Z",' + LOG[1:]


def test_a_timestamp_of_its_own_makes_room():
    """A span's start in µs moves to another name, and so does whatever has that name already."""
    data = SPAN.replace(b"}}", b'},"timestamp_ecs":1}')

    assert dated(data) == (
        b'{"timestamp":"2026-11-24T01:35:46.123456Z","@timestamp":"2026-11-24T01:35:46.123456Z",'
        b'"timestamp_ecs":{"us":1795484146123456},"event":{"id":"seg-00000002"},"timestamp_ecs_ecs":1}'
    )


def test_labels_of_a_wide_event_go_as_one_text():
    """Others stay what they are."""
    labels = b",".join(b'"l%d":%d' % (number, number) for number in range(100))
    wide = LOG[:-1] + b',"labels":{' + labels + b'},"z":1}'

    assert orjson.loads(dated(wide))["labels_text"] == "{" + labels.decode() + "}"
    assert dated(wide).endswith(b'}","z":1}')


def test_the_time_may_stand_anywhere():
    """An event copied from another store need not begin with it."""
    assert dated(b'{"a":1,"@timestamp":"2026-11-24T01:35:46Z"}').startswith(b'{"timestamp":"2026-11-24T01:35:46Z","a"')


def test_an_event_without_a_time_goes_as_it_is():
    """Loggly takes the time of arrival."""
    assert dated(b'{"a":1}') == b'{"a":1}'


def test_a_batch_is_one_body(stand_in, backend):
    """One event a line, in order, with the tags, ours first and none twice."""
    assert backend.ship([line(LOG), line(SPAN, 2)]) is None

    assert stand_in.lines() == [dated(LOG), dated(SPAN)]
    assert stand_in.answers() == {"200": 1}
    assert stand_in.archive.search(lambda _: True, 0, 2**63)[0].tags == ("dashcam", "cars")


def test_a_body_keeps_below_the_limit(stand_in, backend):
    """As many bytes as the limits allow, each line as small as it may be, make no more than 4,000,000."""
    small = LOG + b" " * (backend.limits.bytes // backend.limits.events - len(LOG) - 1)

    backend.ship([line(small)] * backend.limits.events)

    assert sum(map(len, stand_in.lines())) + backend.limits.events - 1 <= 4_000_000


def test_a_body_over_the_limit_is_refused(backend):
    """Names that had to be renamed may make it larger than was reckoned; the shipper halves it."""
    grown = b'{"@timestamp":"2026-11-24T01:35:46.123456Z","a":[' + b'{"timestamp":1},' * 40_000 + b"1]}"

    with pytest.raises(BatchRejected, match="a body of 4"):
        backend.ship([line(grown)] * 5)


def test_an_event_over_the_limit_is_named(stand_in, backend):
    """The others of the batch are delivered."""
    large = LOG[:-2] + b"x" * 1_000_000 + b'"}}'

    answer = backend.ship([line(LOG), line(large), line(SPAN)])

    assert answer == PartialResult(rejected={1: f"{len(dated(large))} bytes as it is sent; Loggly accepts 1000000"})
    assert stand_in.lines() == [dated(LOG), dated(SPAN)]


def test_connections_stay_open(stand_in, backend):
    """Ten bodies one after the other go over one connection."""
    opened = []
    remember = stand_in._server.remember
    stand_in._server.remember = lambda connection: (opened.append(connection), remember(connection))

    for _ in range(10):
        backend.ship([line(LOG)])

    assert len(opened) == 1


def test_several_bodies_are_under_way_at_once(stand_in, backend):
    """As many as the limits say, each in a thread of its own."""
    threads = [
        threading.Thread(target=backend.ship, args=([line(LOG)] * 100,)) for _ in range(backend.limits.in_flight)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert backend.limits.in_flight > 1
    assert len(stand_in.lines()) == 100 * backend.limits.in_flight


@pytest.mark.parametrize("status", ["400", "413"])
def test_these_answers_refuse(stand_in, backend, status):
    """The batch can never be taken as it is."""
    stand_in.sending.plan(status)

    with pytest.raises(BatchRejected, match=status):
        backend.ship([line(LOG)])


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_these_answers_wait_for_a_person(stand_in, backend, status):
    """Nothing is lost, and the next try is less than 30 s away."""
    stand_in.sending.plan(status)

    with pytest.raises(BackendUnavailable, match=f"{status}.*Events wait") as seen:
        backend.ship([line(LOG)])

    assert 0 < seen.value.retry_after_s < 30
    assert backend.ship([line(LOG)]) is None


@pytest.mark.parametrize("status", ["429", "500", "503", "504"])
def test_these_answers_ask_to_come_back(stand_in, backend, status):
    """After the seconds of Retry-After."""
    stand_in.sending.plan(status, retry_after="7")

    with pytest.raises(BackendUnavailable, match=status) as seen:
        backend.ship([line(LOG)])

    assert seen.value.retry_after_s == 7


def test_retry_after_may_be_a_date(stand_in, backend):
    """The time until then, and never less than none."""
    stand_in.sending.plan("503", retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))

    with pytest.raises(BackendUnavailable) as seen:
        backend.ship([line(LOG)])

    assert 50 < seen.value.retry_after_s <= 60


def test_retry_after_may_be_the_last_date(stand_in, backend):
    """In UTC it is in the year 10000, which Python has no time for."""
    stand_in.sending.plan("503", retry_after="Fri, 31 Dec 9999 23:59:59 -0100")

    with pytest.raises(BackendUnavailable) as seen:
        backend.ship([line(LOG)])

    assert seen.value.retry_after_s > 365 * 86_400


@pytest.mark.parametrize("value", ["", "soon", "-5", "Wed, 21 Oct 2026 07:28:00 +9999999999999"])
def test_a_retry_after_that_says_nothing_counts_as_none(stand_in, backend, value):
    """The shipper's own pause is taken."""
    stand_in.sending.plan("503", retry_after=value)

    with pytest.raises(BackendUnavailable) as seen:
        backend.ship([line(LOG)])

    assert seen.value.retry_after_s is None


def test_ok_without_the_documented_body_is_no_delivery(stand_in, backend):
    """A hotel's network answers 200 too."""
    stand_in.sending.plan("other")

    with pytest.raises(BackendUnavailable, match="LOGGLY_URL"):
        backend.ship([line(LOG)])


@pytest.mark.parametrize("fault", ["reset", "lost-answer"])
def test_a_cut_connection_is_tried_again(stand_in, backend, fault):
    """Whether the events arrived cannot be known."""
    stand_in.sending.plan(fault)

    with pytest.raises(BackendUnavailable, match="cut"):
        backend.ship([line(LOG)])

    assert backend.ship([line(LOG)]) is None


def test_a_hang_ends(stand_in):
    """After the time-out the batch is sent again."""
    backend = Loggly(stand_in.url, Secret(TOKEN), timeout_s=0.2)
    stand_in.sending.plan("hang")

    with pytest.raises(BackendUnavailable, match="no answer in time"):
        backend.ship([line(LOG)])

    backend.close()


def test_a_stopped_destination_is_unavailable(stand_in, backend):
    """Shipping goes on when it is back."""
    stand_in.stop()
    with pytest.raises(BackendUnavailable, match="refused"):
        backend.ship([line(LOG)])
    stand_in.start()

    assert backend.ship([line(LOG)]) is None


@pytest.mark.parametrize("fault", ["400", "403", "404", "413", "503", "other", "reset", "hang", "stopped"])
def test_the_token_is_never_seen(stand_in, caplog, fault):
    """Neither in a message, nor in a traceback with everything that led to it, nor in a log line of a library."""
    caplog.set_level(logging.DEBUG)
    backend = Loggly(stand_in.url, Secret(TOKEN), timeout_s=0.2)
    backend.ship([line(LOG)])
    stand_in.stop() if fault == "stopped" else stand_in.sending.plan(fault)

    with pytest.raises((BatchRejected, BackendUnavailable)) as seen:
        backend.ship([line(LOG)])
    told = "".join(traceback.TracebackException.from_exception(seen.value, capture_locals=True).format())

    assert seen.value.__context__ is None
    assert TOKEN not in str(seen.value)
    assert TOKEN not in told
    assert "/bulk/***/" in caplog.text
    assert TOKEN not in caplog.text
    backend.close()


def test_settings_lead_to_the_endpoint(stand_in):
    """What the stand-in says of itself is enough to send to it."""
    backend = connect(load(Options, stand_in.environment()))

    assert backend.ship([line(LOG)]) is None
    backend.close()


@pytest.mark.parametrize("token", ["", "a/b", "a b"])
def test_a_token_that_cannot_be_one_is_a_fault_of_the_settings(token):
    """It is told without being shown."""
    with pytest.raises(SettingsError, match="LOGGLY_TOKEN") as seen:
        connect(load(Options, {"LOGGLY_TOKEN": token}))

    assert token == "" or token not in str(seen.value)


def test_the_order_of_keys_survives():
    """Accepting the added key away and naming the others as before gives the line again."""
    sent = orjson.loads(dated(SPAN))

    assert list(sent) == ["timestamp", "@timestamp", "timestamp_ecs", "event"]


@pytest.mark.parametrize("data", [b'{"' + b'a":1,"' * 200 + b"broken", b"\xff" * 900, b'{"no time', b"[]", b"7"])
def test_a_line_that_is_not_an_event_is_rejected_alone(backend, stand_in, data):
    """However wide it is, it goes to the dead letters, and the others arrive."""
    result = backend.ship([line(LOG), EncodedEvent("bad", is_span=False, data=data), line(SPAN, 2)])

    assert list(result.rejected) == [1]
    assert len(stand_in.lines()) == 2
