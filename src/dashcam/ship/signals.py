"""Signals that ask a command to end."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dashcam import machine

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handling(numbers: Iterable[signal.Signals], handler: Callable[[int], object]) -> Iterator[None]:
    """Call a function for these signals; give them their former handlers back in the end."""
    former = {number: machine.signal(number, lambda received, _: handler(received)) for number in numbers}
    try:
        yield
    finally:
        for number, before in former.items():
            machine.signal(number, before)


def pause(stopping: machine.Event, pause_s: float) -> None:
    """Wait in the main thread, at most until the event is set.

    Not a wait for the event: a signal that came within it would set the event under the event's own lock.
    """
    until_s = machine.monotonic() + pause_s
    while not stopping.is_set() and (left_s := until_s - machine.monotonic()) > 0:
        machine.sleep(min(left_s, 0.1))


@contextmanager
def set_by_signals(stopping: machine.Event) -> Iterator[None]:
    """Set the event at SIGTERM and SIGINT."""
    with handling(ENDING, lambda _: stopping.set()):
        yield
