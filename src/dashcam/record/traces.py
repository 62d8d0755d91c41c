"""Stack traces as `traceback` formats them, at a tenth of the cost where the same line of code failed before."""

import traceback
from types import CodeType, TracebackType
from typing import NamedTuple

from dashcam.record.interruption import is_interruption

MAX_CACHED_FRAMES = MAX_CACHED_NAMES = 512
MAX_FRAMES = 64  # of a trace that is put together here
# `traceback` adds to the text of these, or asks other modules what was meant.
_SPECIAL = (NameError, AttributeError, ImportError, SyntaxError, BaseExceptionGroup)

# With what has the ID, so that nothing else gets it.
_frames: dict[tuple[int, int], tuple[CodeType, str]] = {}
_names: dict[int, tuple[type, str]] = {}


class DescribedError(NamedTuple):
    """An exception of which only the texts are left, as on a span of the SDK."""

    type: str
    message: str
    stack_trace: str


def describe(error: BaseException) -> str:
    """Return an exception as one line of text, its type alone if its own text fails.

    >>> describe(ValueError("no wheel"))
    'ValueError: no wheel'
    """
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException as fault:  # an exception's own text can fail in any way
        if is_interruption(fault):
            raise
        return type(error).__name__


def format_exception(error: BaseException) -> str:
    """Return what `traceback.format_exception` returns, as one text; each line of code is read once."""
    frames, name = _frames_of(error.__traceback__), _name_of(type(error))
    is_alone = error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    is_simple = is_alone and name and frames is not None and not hasattr(error, "__notes__")
    try:
        text = str(error) if is_simple else ""
    except BaseException as fault:  # an exception's own text can fail in any way
        if is_interruption(fault):
            raise
        is_simple = False
    if not is_simple or frames is None:
        return "".join(traceback.format_exception(error))
    head = "Traceback (most recent call last):\n" if frames else ""
    return f"{head}{''.join(frames)}{name}: {text}\n" if text else f"{head}{''.join(frames)}{name}\n"


def _name_of(kind: type[BaseException]) -> str:
    """Return the name that a stack trace has for a class of exceptions; empty if `traceback` adds to their text."""
    if (known := _names.get(id(kind))) is None:
        if len(_names) >= MAX_CACHED_NAMES:
            _names.clear()
        module = "" if kind.__module__ in {"__main__", "builtins"} else f"{kind.__module__}."
        known = _names[id(kind)] = kind, "" if issubclass(kind, _SPECIAL) else module + kind.__qualname__
    return known[1]


def _frames_of(trace: TracebackType | None) -> list[str] | None:
    """Return the text of each frame; None if there are many, or one repeats: `traceback` shows that three times."""
    frames: list[str] = []
    last = ""
    while trace:
        code = trace.tb_frame.f_code
        key = id(code), trace.tb_lasti
        if (known := _frames.get(key)) is None:
            if len(_frames) >= MAX_CACHED_FRAMES:
                _frames.clear()
            alone = TracebackType(None, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
            known = _frames[key] = code, "".join(traceback.format_tb(alone))
        if known[1] == last or len(frames) == MAX_FRAMES:
            return None
        frames.append(last := known[1])
        trace = trace.tb_next
    return frames
