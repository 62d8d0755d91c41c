"""Tests that every backend must pass: inherit `BackendContract` and define the fixture `destination`.

class TestMyBackend(BackendContract):
@pytest.fixture
def destination(self): ...
"""

import threading
from typing import Protocol

import orjson
import pytest

from dashcam.errors import BackendUnavailable
from dashcam.event import EncodedEvent
from dashcam.ship.batch import Backend


class Receiver(Protocol):
    """The server that a backend sends to: a real one, or one of the test."""

    def connect(self) -> Backend:
        """Return a new backend for this destination."""

    def arrived(self) -> list[dict]:
        """Return its events, in any order, with each `event.id` as often as a search would find it."""

    def stop(self) -> None:
        """Stop it: from now on it accepts no events."""


def line(number: int, message: str = "car created") -> EncodedEvent:
    """One event; the same number gives the same one."""
    event_id = f"0193a1b2c3d4e5f601020304-{number:08d}"
    fields = {
        "@timestamp": f"2026-11-23T08:00:00.{number:06d}Z",
        "log.level": "info",
        "message": message,
        "labels": {"number": number},
        "trace": {"id": f"{number:032x}"},
        "event": {"kind": "event", "dataset": "cars", "id": event_id, "sequence": number},
        "ecs.version": "8.17.0",
        "service": {"name": "cars"},
    }
    return EncodedEvent(event_id, is_span=False, data=orjson.dumps(fields))


def span(number: int) -> EncodedEvent:
    """One span."""
    log = line(number)
    fields = {**orjson.loads(log.data), "processor": {"event": "transaction"}}
    return EncodedEvent(log.id, is_span=True, data=orjson.dumps(fields))


class BackendContract:
    """Accepted events arrive once and complete; others are reported."""

    @pytest.fixture
    def destination(self) -> Receiver:
        """Return a destination without events."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self, destination):
        """A backend of it, closed at the end."""
        backend = destination.connect()
        yield backend
        backend.close()

    def test_limits_are_sensible(self, backend):
        """A batch holds some events, each as long as the longest line, and is sent by one thread or a few."""
        assert 1 <= backend.limits.events <= 100_000
        assert 256 * 1024 < backend.limits.bytes <= 100_000_000
        assert 1 <= backend.limits.in_flight <= 64

    def test_a_batch_arrives(self, backend, destination):
        """Log lines and spans of one batch all arrive."""
        batch = [line(1), span(2), line(3)]

        assert backend.ship(batch) is None

        assert _numbers(destination) == [1, 2, 3]

    def test_events_arrive_whole(self, backend, destination):
        """Fields, types and every letter stay as they were."""
        sent = line(7, 'quote " backslash \\ line\nend \t 東京 🚗 \u2028')

        backend.ship([sent])

        (event,) = destination.arrived()
        assert orjson.loads(sent.data).items() <= event.items()

    def test_a_full_batch(self, backend, destination):
        """A batch of as many events as the limits allow arrives; 2,000 are enough to see it."""
        count = min(backend.limits.events, 2000)

        backend.ship([line(number) for number in range(count)])

        assert _numbers(destination) == list(range(count))

    def test_the_longest_line(self, backend, destination):
        """An event of 256 KiB arrives."""
        sent = line(1, "")
        longest = line(1, "x" * (256 * 1024 - len(sent.data)))

        backend.ship([longest, line(2)])

        assert _numbers(destination) == [1, 2]

    def test_a_resend_is_no_second_event(self, backend, destination):
        """A batch sent again, as after a lost acknowledgement, is found once."""
        backend.ship([line(1), line(2)])
        backend.ship([line(2), line(1), line(3)])

        assert _numbers(destination) == [1, 2, 3]

    def test_another_backend_goes_on(self, destination):
        """A second shipper may send again what the first one sent, and go on."""
        for numbers in ([1, 2], [2, 3]):
            backend = destination.connect()
            backend.ship([line(number) for number in numbers])
            backend.close()

        assert _numbers(destination) == [1, 2, 3]

    def test_as_many_threads_as_it_allows(self, backend, destination):
        """Batches sent from `in_flight` threads at once all arrive."""
        batches = [[line(10 * thread + number) for number in range(10)] for thread in range(backend.limits.in_flight)]
        threads = [threading.Thread(target=backend.ship, args=[batch]) for batch in batches]

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert _numbers(destination) == list(range(10 * len(batches)))

    def test_an_empty_batch(self, backend, destination):
        """An empty batch is not an error."""
        assert backend.ship([]) is None

        assert destination.arrived() == []

    def test_a_dead_destination_is_unavailable(self, backend, destination):
        """A destination that accepts nothing makes the shipper try again."""
        destination.stop()

        with pytest.raises(BackendUnavailable):
            backend.ship([line(1)])


def _numbers(destination: Receiver) -> list[int]:
    return sorted(event["labels"]["number"] for event in destination.arrived())
