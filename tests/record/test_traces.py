"""Stack traces are those of `traceback`, to the letter."""

import traceback
from functools import partial

import pytest

import dashcam
from dashcam.record.values.traces import MAX_CACHED_FRAMES, MAX_CACHED_NAMES, format_exception


class CarError(Exception):
    """One of a module."""


class Mute(Exception):
    """Has no text."""

    def __str__(self):
        raise KeyError("no")


class _Unhashable(type):
    def __eq__(cls, other):
        return cls is other

    __hash__ = None


class UnhashableError(Exception, metaclass=_Unhashable):
    """Its class is in no dictionary."""


def _deep(levels):
    if levels:
        return _deep(levels - 1)
    raise CarError("no wheel")


def _twice(levels):
    """Two calls in one line: frames of one line that differ."""
    return (_deep(levels) if levels % 2 else _twice(levels - 1)) or (_twice(levels - 1) if levels else _deep(2))


def _alternating(levels):
    def again():
        return _alternating(levels - 1)

    return again() if levels else _deep(0)


def _chained():
    try:
        _deep(1)
    except CarError as error:
        raise RuntimeError("gave up") from error


def _suppressed():
    try:
        _deep(1)
    except CarError:
        raise RuntimeError("gave up") from None


def _noted():
    error = ValueError("bad")
    error.add_note("a note")
    raise error


def _in_a_handler(levels):
    try:
        if levels:
            _in_a_handler(levels - 1)
        _deep(1)
    except CarError:
        _noted()
    except ValueError as error:
        error.add_note(f"at level {levels}")
        raise RuntimeError("again") from (error if levels % 2 else None)


def _going_round():
    first, second, third = CarError("a"), CarError("b"), CarError("c")
    first.__cause__, second.__context__, third.__cause__ = second, third, first
    raise first


def _of_a_group():
    raise CarError("outer") from ExceptionGroup("g", [ValueError("x")])


def _muted():
    raise CarError("outer") from Mute()


def _misspelled():
    try:
        return [].apend
    except AttributeError:
        wheels = 4
        return whels + wheels  # noqa: F821


def _raise(error):
    def fail():
        raise error

    return fail


FAILURES = [lambda: _deep(0), lambda: _deep(2), lambda: _deep(9), lambda: _deep(200), lambda: _alternating(60)]
FAILURES += [*(partial(_deep, levels) for levels in (3, 4, 5)), lambda: _twice(3), lambda: _alternating(10)]
FAILURES += [_chained, _suppressed, _noted, lambda: {}["a"], lambda: 1 / 0, lambda: undefined, lambda: (1).real_]  # noqa: F821
FAILURES += [lambda: _in_a_handler(3), lambda: _in_a_handler(30), _going_round, _of_a_group, _muted, _misspelled]
FAILURES += [
    _raise(UnhashableError("x")),
    lambda: compile("a b", "x.py", "exec"),
    lambda: exec("raise ValueError('from a text')"),
]
FAILURES += [
    *map(_raise, [ValueError(), ValueError("two\nlines"), KeyboardInterrupt(), ExceptionGroup("g", [ValueError()])])
]


@pytest.mark.parametrize("failure", FAILURES, ids=range(len(FAILURES)))
def test_the_same_text(failure):
    """At the first time, and when the lines are known."""
    for _ in range(2):
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            failure()

        assert format_exception(caught.value) == "".join(traceback.format_exception(caught.value))


def test_more_classes_than_are_kept():
    """The memory is bounded, and each exception has the name of its own class."""
    for number in range(MAX_CACHED_NAMES + 10):
        kind = type(f"Error{number}", (Exception,), {})

        assert format_exception(kind("bad")) == f"{__name__}.Error{number}: bad\n"


def test_an_exception_that_was_not_raised():
    """It has no frames."""
    assert format_exception(CarError("x")) == "".join(traceback.format_exception(CarError("x")))


def test_more_lines_than_are_kept():
    """The memory is bounded, and the text is right all the same."""
    for number in range(MAX_CACHED_FRAMES + 10):
        with pytest.raises(ValueError, match="bad") as caught:
            exec(f"def f{number}():\n    raise ValueError('bad')\nf{number}()")

        assert f"in f{number}\n" in format_exception(caught.value)


def test_an_error_whose_text_fails(cars):
    """It is recorded, with its trace."""
    try:
        _raise(Mute())()
    except Mute:
        dashcam.get_logger("cars").exception("failed")

    (event,) = cars.events()
    assert event.get("error.type") == "Mute"
    assert "<exception str() failed>" in event.get("error.stack_trace")
