"""What a forked child does first: it makes anew what it may not share with its parent."""

import os
from collections.abc import Callable

_begins: list[Callable[[], object]] = []
_pid = os.getpid()


def in_child(begin: Callable[[], object]) -> None:
    """Have `begin` called in each forked child, before any of the program's code."""
    _begins.append(begin)


def begin_child() -> None:
    """Begin a child that was forked without Python's knowledge; does nothing in a process that has begun.

    >>> forks.begin_child()
    """
    if os.getpid() != _pid:
        _begin()


def _begin() -> None:
    global _pid
    _pid = os.getpid()
    for begin in _begins:
        begin()


os.register_at_fork(after_in_child=_begin)
