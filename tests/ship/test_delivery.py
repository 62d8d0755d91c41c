"""One batch on its way: retries, refusals, pauses, stops."""

import random
import threading

import pytest

from dashcam import machine
from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.ship.batch import Limits, PartialResult
from dashcam.ship.delivery import MAX_PAUSE_S, Backoff, Delivery, Outcome, batches
from dashcam.ship.state.dead_letters import DeadLetters

from .played import Accepting, Played, events

SOON = 0.001


class Stage:
    """A delivery, and what it said."""

    def __init__(self, folder, backend, on_trouble=lambda _: None):
        self.stopping = threading.Event()
        self.dead_letters = DeadLetters(folder, "played")
        self.reported = []
        self._on_trouble = on_trouble
        self.deliver = Delivery("played", backend, self.dead_letters, self.stopping, self._report).deliver

    def _report(self, reason):
        self.reported.append(reason)
        if reason:
            self._on_trouble(self)

    def dead(self):
        return {letter.event.id: letter.reason for letter in self.dead_letters.read()}


def test_a_batch_that_is_taken(tmp_path):
    """Sent once."""
    backend = Played()

    assert Stage(tmp_path, backend).deliver(events(3)) == Outcome(3, 0, [])
    assert backend.attempts == [[line.id for line in events(3)]]


def test_an_empty_batch_is_not_sent(tmp_path):
    """A batch may hold nothing but marks."""
    backend = Played()

    assert Stage(tmp_path, backend).deliver([]) == Outcome(0, 0, [])
    assert backend.attempts == []


def test_a_batch_comes_again(tmp_path):
    """As it was, until it is taken; what is in the way is told, and that it no longer is."""
    backend = Played(BackendUnavailable("down", SOON), BackendUnavailable("still down", SOON))
    stage = Stage(tmp_path, backend)

    assert stage.deliver(events(3)) == Outcome(3, 0, [])
    assert backend.attempts == [[line.id for line in events(3)]] * 3
    assert stage.reported == ["down", "still down", None]


def test_whatever_a_backend_trips_over_is_tried_again(tmp_path, caplog):
    """A fault of ours or of a library's is no reason to lose events."""
    stage = Stage(tmp_path, Played(ZeroDivisionError("by zero"), KeyError("k")))

    assert stage.deliver(events(2)) == Outcome(2, 0, [])
    assert stage.reported == ["ZeroDivisionError: by zero", "KeyError: 'k'", None]
    assert "unexpected" in caplog.text


def _refusing(*bad):
    def decide(batch):
        return BatchRejected("too odd") if any(line.id in bad for line in batch) else None

    return decide


@pytest.mark.parametrize("bad", [[0], [15], [7], [3, 4], [0, 5, 9, 15], list(range(16))])
def test_a_refused_batch_is_halved(tmp_path, bad):
    """Down to the events at fault, which go to the dead letters; all others arrive, in their order, once."""
    names = [f"seg-{number:08d}" for number in bad]
    backend = Accepting(_refusing(*names))
    stage = Stage(tmp_path, backend)

    assert stage.deliver(events(16)) == Outcome(16 - len(bad), len(bad), [])
    assert backend.accepted == [line.id for line in events(16) if line.id not in names]
    assert stage.dead() == dict.fromkeys(names, "too odd")


def test_events_refused_by_name(tmp_path):
    """They go to the dead letters at once, with the reason of each."""
    stage = Stage(tmp_path, Played(PartialResult(rejected={1: "no date", 2: "too old"})))

    assert stage.deliver(events(4)) == Outcome(2, 2, [])
    assert stage.dead() == {"seg-00000001": "no date", "seg-00000002": "too old"}


def test_events_that_are_to_come_again(tmp_path):
    """Those alone are sent once more."""
    backend = Played(PartialResult(retry=[0, 2]), PartialResult(retry=[1], rejected={0: "odd"}))
    stage = Stage(tmp_path, backend)

    assert stage.deliver(events(4)) == Outcome(3, 1, [])
    assert backend.attempts[1:] == [["seg-00000000", "seg-00000002"], ["seg-00000002"]]
    assert stage.reported == ["2 of 4 events not accepted yet", "1 of 2 events not accepted yet", None]


def test_an_event_that_cannot_be_buried_waits(tmp_path):
    """A dead letter that cannot be written is no dead letter yet: the event is tried again."""
    folder = tmp_path / "dead-letters"
    folder.write_text("in the way")
    stage = Stage(folder, Accepting(lambda _: BatchRejected("odd")), lambda _: folder.unlink())

    assert stage.deliver(events(1)) == Outcome(0, 1, [])
    assert stage.dead() == {"seg-00000000": "odd"}
    assert "cannot be written" in stage.reported[0]


def test_what_is_delivered_is_not_sent_again_for_a_letter(tmp_path):
    """Only the events whose letters could not be written come again."""
    folder = tmp_path / "dead-letters"
    folder.write_text("in the way")
    backend = Played(PartialResult(rejected={1: "odd"}), BatchRejected("odd"))
    stage = Stage(folder, backend, lambda _: folder.unlink())

    assert stage.deliver(events(3)) == Outcome(2, 1, [])
    assert backend.attempts[1:] == [["seg-00000001"]]
    assert stage.dead() == {"seg-00000001": "odd"}


def test_a_stop_ends_a_pause(tmp_path):
    """What is not delivered by then is given back."""
    stage = Stage(tmp_path, Played(PartialResult(retry=[1, 2])), lambda stage: stage.stopping.set())
    assert stage.deliver(events(4)) == Outcome(2, 0, events(4)[1:3])

    stage = Stage(tmp_path, Played(BackendUnavailable("down", 1000)), lambda stage: stage.stopping.set())
    assert stage.deliver(events(4)) == Outcome(0, 0, events(4))


def test_a_success_ends_the_pauses_of_other_batches(tmp_path, monkeypatch):
    """The destination is back: the oldest batch holds up none behind it for the rest of its pause."""
    monkeypatch.setattr(machine, "uniform", lambda *_: 1000.0)
    is_down = threading.Event()
    stage = Stage(tmp_path, Played(BackendUnavailable("down")), lambda _: is_down.set())
    oldest = threading.Thread(target=stage.deliver, args=(events(1),))
    oldest.start()
    assert is_down.wait(10)

    stage.deliver(events(2))
    oldest.join(10)

    assert not oldest.is_alive()


def test_after_a_stop_nothing_is_sent(tmp_path):
    """Everything is given back."""
    backend = Played()
    stage = Stage(tmp_path, backend)
    stage.stopping.set()

    assert stage.deliver(events(2)) == Outcome(0, 0, events(2))
    assert backend.attempts == []


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_event_ends_once(tmp_path, seed):
    """Delivered or dead, never both, never twice, with answers of every kind at random."""
    dice = random.Random(seed)

    def decide(batch):
        answer = dice.choice(["take", "take", "down", "refuse", "bug", "some"])
        places = range(len(batch))
        match answer:
            case "down":
                return BackendUnavailable("down", SOON)
            case "refuse":
                return BatchRejected("odd")
            case "bug":
                return KeyError("a bug")
            case "some":
                again = [place for place in places if dice.random() < 0.1]
                return PartialResult(
                    [], {place: "odd" for place in places if place not in again and dice.random() < 0.2}
                )
        return None

    backend = Accepting(decide)
    stage = Stage(tmp_path, backend)
    outcome = stage.deliver(events(50))

    assert sorted([*backend.accepted, *stage.dead()]) == [line.id for line in events(50)]
    assert (outcome.delivered, outcome.dead) == (len(backend.accepted), len(stage.dead()))


def test_pauses_grow():
    """Each is at most twice the one before, up to a bound within which a token set right is in use."""
    pause = Backoff(randomly=lambda _, longest: longest)

    assert [pause.next_s(None) for _ in range(10)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.0, 25.0]
    assert MAX_PAUSE_S < 30


def test_pauses_are_spread():
    """At random between half the bound and the bound, so that many shippers do not come back at once."""
    assert Backoff(randomly=lambda least, _: least).next_s() == 0.05
    assert len({Backoff().next_s() for _ in range(10)}) > 1


def test_a_pause_that_was_asked_for():
    """`Retry-After` is honoured, within the bound."""
    pause = Backoff()

    assert [pause.next_s(seconds) for seconds in (0.5, 7, 3600)] == [0.5, 7, MAX_PAUSE_S]


@pytest.mark.parametrize(
    ("limits", "sizes"), [(Limits(4, 1000), [4, 4, 2]), (Limits(100, 30), [2] * 5), (Limits(5, 1), [1] * 10)]
)
def test_batches_keep_to_the_limits(limits, sizes):
    """In events and in bytes, a newline each; an event too large is alone."""
    found = list(batches(events(10), limits))

    assert [len(batch) for batch in found] == sizes
    assert [line for batch in found for line in batch] == events(10)
