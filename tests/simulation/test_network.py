"""The real clients over simulated connections: what they answer for is on the server, however its answer came."""

import pytest

from dashcam.errors import BackendUnavailable
from dashcam.event import EncodedEvent
from dashcam.ship.batch import PartialResult

from .backends import BAD, MOODS, WELL, Destination
from .machine import Machine, dice_of
from .network import SERVERS, Network, client_of

SEEDS = [range(3), pytest.param(range(3, 12), marks=pytest.mark.long)]
TRIES = 8  # before the server is well again


def _events():
    line = '{"@timestamp":"2026-11-24T01:35:00.%06dZ","message":"%d","event":{"id":"%s","kind":"event"}}'
    ids = [f"{number:024x}-00000000" for number in range(1, BAD)]
    return [
        EncodedEvent(id_, is_span=False, data=(line % (number, number, id_)).encode())
        for number, id_ in enumerate(ids, 1)
    ]


def _answered(destination, mood, seed):
    """Ship some events until each is answered for; return their IDs. The server is well for the first one."""
    machine = Machine(dice_of(seed))
    network = Network(machine)
    network.add(SERVERS[destination.name], destination)
    machine.connect = network.connect
    answered = []

    def work():
        client, left = client_of(destination.name, machine), _events()
        client.ship(left[:1])
        destination.mood = mood
        for attempt in range(2 * TRIES):
            if attempt == TRIES:
                destination.mood = WELL
            try:
                again = (client.ship(left) or PartialResult()).retry
            except BackendUnavailable:
                machine.sleep(1.0)
                continue
            answered.extend(event.id for index, event in enumerate(left) if index not in set(again))
            assert set(answered) <= destination.accepted.keys()
            left = [left[index] for index in again]
            if not left:
                return

    with machine.installed(), network.installed():
        process = machine.start("shipper", work)
        machine.run(process.is_gone)
    return answered


@pytest.mark.parametrize("seeds", SEEDS, ids=["few seeds", "more"])
@pytest.mark.parametrize("mood", [WELL, *MOODS])
@pytest.mark.parametrize("name", SERVERS)
def test_what_is_answered_for_is_there(name, mood, seeds):
    """No connection that is refused, cut or silent, and no page of a proxy, makes an event delivered that is not."""
    for seed in seeds:
        destination = Destination(name)
        assert sorted(_answered(destination, mood, seed)) == [event.id for event in _events()]
