"""Stack traces as `traceback` formats them, at a tenth of the cost where the same line of code failed before."""

import traceback
from itertools import pairwise
from types import CodeType, TracebackType
from typing import NamedTuple

from dashcam.record.interruption import is_interruption

MAX_CACHED_FRAMES = 512
MAX_FRAMES = 64  # of a trace that is put together here
# `traceback` adds to the text of these, or asks other modules what was meant.
_SPECIAL = (NameError, AttributeError, ImportError, SyntaxError, BaseExceptionGroup)

_frames: dict[tuple[int, int], tuple[CodeType, str]] = {}  # with its code, so that no other one gets its id


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
    frames = _frames_of(error.__traceback__)
    is_alone = error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    is_simple = is_alone and not isinstance(error, _SPECIAL) and not hasattr(error, "__notes__")
    try:
        text = str(error) if is_simple else ""
    except BaseException as fault:  # an exception's own text can fail in any way
        if is_interruption(fault):
            raise
        is_simple = False
    # `traceback` counts a frame that comes again and again, and shows it three times.
    if not is_simple or len(frames) > MAX_FRAMES or any(a == b for a, b in pairwise(frames)):
        return "".join(traceback.format_exception(error))
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in {"__main__", "builtins"} else f"{kind.__module__}.{kind.__qualname__}"
    )
    head = ["Traceback (most recent call last):\n"] if frames else []
    return "".join([*head, *frames, f"{name}: {text}\n" if text else f"{name}\n"])


def _frames_of(trace: TracebackType | None) -> list[str]:
    frames: list[str] = []
    while trace and len(frames) <= MAX_FRAMES:
        code = trace.tb_frame.f_code
        key = id(code), trace.tb_lasti
        if (known := _frames.get(key)) is None:
            if len(_frames) >= MAX_CACHED_FRAMES:
                _frames.clear()
            alone = TracebackType(None, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
            known = _frames[key] = code, "".join(traceback.format_tb(alone))
        frames.append(known[1])
        trace = trace.tb_next
    return frames
