"""What a forked child does first: it makes anew what it may not share with its parent."""

from collections.abc import Callable
from os import getpid, register_at_fork  # by name: the simulation has processes that are not forked

_begins: list[Callable[[], object]] = []
_pid = getpid()


def in_child(begin: Callable[[], object]) -> None:
    """Have `begin` called in each forked child, before any of the program's code."""
    _begins.append(begin)


def begin_child() -> None:
    """Begin a child that was forked without Python's knowledge; does nothing in a process that has begun.

    Python calls its hooks for a fork only in the interpreter that forks; a fork in C calls none.

    >>> forks.begin_child()
    """
    if getpid() != _pid:
        _begin()


def _begin() -> None:
    global _pid
    _pid = getpid()
    for begin in _begins:
        begin()


register_at_fork(after_in_child=_begin)
