"""Destinations in every mood: down, slow, hanging, strict, accepting a part of what they get, losing their answers."""

import re
from contextlib import suppress

from dashcam.errors import BackendUnavailable, BatchRejected, DashcamError
from dashcam.ship.batch import Limits, PartialResult

MOODS = ("down", "hangs", "loses answers", "takes a part", "slow")
WELL = "well"
HANG_S = 190.0  # a request that nobody answers is given up after so long
BAD = 23  # every so many events are rejected while a destination is strict

_NUMBER = re.compile(rb'"message":"(\d+)"')


def number_of(data):
    """The number of a log line's event; `None` for any other."""
    found = _NUMBER.search(data)
    return int(found[1]) if found else None


def is_bad(event):
    """Whether a strict destination rejects an event."""
    return is_bad_line(event.data)


def is_bad_line(data):
    """Whether a strict destination rejects an event of this text."""
    number = number_of(data)
    return number is not None and number % BAD == 0


class Destination:
    """What stays of a destination when the shipper's process is gone: its mood, and what the world knows of it."""

    def __init__(self, name):
        self.name = name
        self.mood = WELL
        self.is_strict = True
        self.accepted = {}  # data by ID, in memory: a destination on another machine
        self.answered = {}  # when the shipper was told that an event is delivered, by ID


class Hostile:
    """A backend of one process; `local` is the real local store, or `None` for a destination in memory."""

    def __init__(self, world, destination, local=None):
        self.limits = Limits(events=40, bytes=200_000, in_flight=1 if local else 3)
        self._world, self._destination, self._local = world, destination, local
        self._dice, self._machine = world.dice, world.machine

    def ship(self, batch):
        """Answer as the mood is."""
        it, mood = self._destination, self._destination.mood
        self._world.note_sent(it, batch)
        self._machine.sleep(self._dice.uniform(0.001, 5.0 if mood == "slow" else 0.05))
        if mood == "down":
            raise BackendUnavailable("down", self._dice.choice([None, 1.0, 60.0]))
        if mood == "hangs":
            self._machine.block(lambda: it.mood != mood, HANG_S)
            raise BackendUnavailable("no answer")
        if it.is_strict and any(map(is_bad, batch)):
            return self._reject(batch)
        part = batch[: self._dice.randint(1, len(batch))] if mood == "takes a part" else batch
        result = self._accept(part)
        if mood == "loses answers":
            raise BackendUnavailable("the answer was lost")
        self._world.note_answered(it, part)
        return result or PartialResult(retry=range(len(part), len(batch)))

    def _reject(self, batch):
        if self._dice.random() < 0.5:
            raise BatchRejected("odd numbers")
        good = [event for event in batch if not is_bad(event)]
        self._accept(good)
        self._world.note_answered(self._destination, good)
        return PartialResult(rejected={index: "odd" for index, event in enumerate(batch) if is_bad(event)})

    def _accept(self, events):
        if self._local:
            return self._local.ship(events) if events else None
        for event in events:
            kept = self._destination.accepted.setdefault(event.id, event.data)
            assert kept == event.data, f"event {event.id} was sent with two contents"
        return None

    def close(self):
        """Close the file, where there is one."""
        if self._local:
            with suppress(BackendUnavailable):
                self._local.close()


class Wired:
    """A real client of a server on the network, with small batches; a fault that is none of its own is a bug."""

    limits = Limits(events=40, bytes=200_000, in_flight=3)

    def __init__(self, world, destination, client):
        self._world, self._destination, self._client = world, destination, client

    def ship(self, batch):
        """Send a batch, and note what the client says of it."""
        self._world.note_sent(self._destination, batch)
        try:
            result = self._client.ship(batch) or PartialResult()
        except DashcamError:
            raise
        except Exception as fault:
            self._world.oracle.found(f"{self._destination.name}: {fault!r}")
            raise
        left = {*result.retry, *result.rejected}
        self._world.note_answered(self._destination, [event for at, event in enumerate(batch) if at not in left])
        return result

    def close(self):
        """Close the connections."""
        self._client.close()
