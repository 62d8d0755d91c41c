"""Stack traces as `traceback` formats them, at a tenth of the cost where the same line of code failed before."""

import traceback
from types import CodeType, TracebackType
from typing import NamedTuple

from dashcam.record.values.interruption import is_interruption

MAX_CACHED_FRAMES = MAX_CACHED_NAMES = 512
MAX_FRAMES = 64  # of a trace that is put together here
MAX_REPEATED = 3  # frames of one line that `traceback` shows, one after the other
MAX_CHAINED = 16  # exceptions that are told with one
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
# `traceback` adds to the text of these, or asks other modules what was meant.
_SPECIAL = (NameError, AttributeError, ImportError, SyntaxError)

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
    text = _part_of(error) if _before(error) is None else _chain_of(error)
    return "".join(traceback.format_exception(error)) if text is None else text


def _before(error: BaseException) -> tuple[str, BaseException] | None:
    """Return the exception that is told before another one, and the words between the two."""
    if error.__cause__ is not None:
        return _CAUSE, error.__cause__
    if error.__context__ is not None and not error.__suppress_context__:
        return _CONTEXT, error.__context__
    return None


def _chain_of(error: BaseException) -> str | None:
    text, seen = _part_of(error), {id(error)}
    while text is not None and (before := _before(error)):
        between, error = before
        part = None if id(error) in seen or len(seen) == MAX_CHAINED else _part_of(error)
        text = None if part is None else f"{part}{between}{text}"
        seen.add(id(error))
    return text


def _part_of(error: BaseException) -> str | None:
    """Return the trace of one exception of a chain; None where only `traceback` knows it."""
    frames, name = _frames_of(error.__traceback__), _name_of(type(error))
    if frames is None or isinstance(error, BaseExceptionGroup):
        return None
    head = "Traceback (most recent call last):\n" if frames else ""
    if not name or hasattr(error, "__notes__"):
        alone = traceback.TracebackException(type(error), error, error.__traceback__, limit=0, compact=True)
        return f"{head}{''.join(frames)}{''.join(alone.format_exception_only())}"
    try:
        text = str(error)
    except BaseException as fault:  # an exception's own text can fail in any way
        if is_interruption(fault):
            raise
        return None
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
    """Return the text of each frame, and of a line that comes again and again how often; None if there are many."""
    frames: list[str] = []
    before, count = None, 0
    while trace:
        if before is None or not _are_of_one_line(before, trace):
            if count > MAX_REPEATED:
                frames.append(_repeated(count - MAX_REPEATED))
            count = 0
        count += 1
        if count <= MAX_REPEATED:
            frames.append(_frame_of(trace))
        if len(frames) > MAX_FRAMES:
            return None
        before, trace = trace, trace.tb_next
    if count > MAX_REPEATED:
        frames.append(_repeated(count - MAX_REPEATED))
    return frames


def _are_of_one_line(one: TracebackType, other: TracebackType) -> bool:
    code, other_code = one.tb_frame.f_code, other.tb_frame.f_code
    is_one_name = code.co_name == other_code.co_name and code.co_filename == other_code.co_filename
    return is_one_name and one.tb_lineno == other.tb_lineno


def _repeated(times: int) -> str:
    return f"  [Previous line repeated {times} more time{'s' if times > 1 else ''}]\n"


def _frame_of(trace: TracebackType) -> str:
    code = trace.tb_frame.f_code
    key = id(code), trace.tb_lasti
    if (known := _frames.get(key)) is None:
        if len(_frames) >= MAX_CACHED_FRAMES:
            _frames.clear()
        alone = TracebackType(None, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
        known = _frames[key] = code, "".join(traceback.format_tb(alone))
    return known[1]
