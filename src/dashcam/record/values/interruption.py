"""What a signal handler raises while a caller's value is asked for its text, and what the value itself raises."""

import signal
from collections.abc import Callable
from functools import partial
from traceback import walk_tb
from types import CodeType, TracebackType
from typing import Final

trace_of: Final[Callable[[BaseException], TracebackType | None]] = vars(BaseException)["__traceback__"].__get__
"""Return the traceback of an error; a class may have any attribute of that name."""


def is_interruption(error: BaseException) -> bool:
    """Return true if an error is for the program, and false if a value's own `__str__` raised it.

    `KeyboardInterrupt` always is: nothing tells one from Ctrl-C. A `SystemExit` or an `Exception` is if a signal
    handler raised it, as that of gunicorn's workers does, and those of time limits.
    """
    if issubclass(type(error), SystemExit | Exception):
        handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
        return any(frame.f_code in handlers for frame, _ in walk_tb(trace_of(error)))
    return True


def _code_of(handler: object) -> CodeType | None:
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    called = vars(type(handler)).get("__call__")
    return getattr(function, "__code__", None) or getattr(called, "__code__", None)
