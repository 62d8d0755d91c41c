"""A lock that no thread waits for endlessly: the thread that holds it may be stuck, or stopped."""

import os
import sys

from dashcam import machine

# For a thread that waits for a disk or runs a finalizer of the program; in parts, as a stopped process goes on later.
WAITS, WAIT_S = 10, 0.1


class Turn:
    """A re-entrant lock; call `end` after each `begin` that returned true.

    An interpreter that ends stops its other threads anywhere, also while they hold a lock. Then the remaining thread
    takes the lock over.
    """

    __slots__ = ("_is_stuck", "_lock")

    def __init__(self) -> None:
        self._lock = machine.RLock()
        self._is_stuck = False  # one thread has waited too long: no other waits until the lock is free

    def begin(self) -> bool:
        """Take the lock; return false if another thread keeps it for a second."""
        if sys.is_finalizing():
            return self._take_over()
        is_held = self._lock.acquire(timeout=0)
        waits = 0 if self._is_stuck else WAITS
        while waits and not is_held:
            is_held = self._lock.acquire(timeout=WAIT_S)
            waits -= 1
        self._is_stuck = not is_held
        return is_held

    def _take_over(self) -> bool:
        if not self._lock.acquire(timeout=0):
            self._lock = machine.RLock()
            self._lock.acquire()
        return True

    def end(self) -> None:
        """Release the lock."""
        self._lock.release()


def print_error(text: str) -> None:
    """Print a line to standard error; raises `OSError` or `ValueError` where that is closed.

    While the interpreter ends it leaves Python's stream out, whose own lock a stopped thread may hold.
    """
    if sys.is_finalizing():
        os.write(sys.stderr.fileno(), f"{text}\n".encode(errors="backslashreplace"))
    else:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
