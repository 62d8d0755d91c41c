"""Log calls as lines: any values, and what becomes of those that JSON or a destination cannot take."""

import dataclasses
import datetime as dt
import enum
import math
import signal
import sys
import uuid
from collections import OrderedDict, UserDict
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from dashcam.record.logs.line import _sanitized, encode_call, python_encode_call
from dashcam.record.logs.logger import message_of
from dashcam.record.masking.mask import mask_text
from dashcam.record.values.sanitizer import MAX_DEPTH, MAX_ITEMS, MAX_LABEL_BYTES, MAX_TEXT_BYTES
from dashcam.spool.segment import LINE_BYTES

from .bodies import TIME_NS, encode, encoded


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Wheel:
    size: int
    password: str = "hunter2"


class Point(NamedTuple):
    x: int
    y: int


class Nasty:
    """Fails at whatever is asked of it."""

    def __str__(self):
        raise KeyError("no")

    __repr__ = __bool__ = __len__ = __eq__ = __hash__ = __iter__ = __str__


class Mute:
    """Has no text."""

    def __str__(self):
        raise KeyError("no")

    __repr__ = __str__


class Crooked(UserDict):
    def __getitem__(self, name):
        raise RuntimeError("no")


def circle():
    mapping = {"a": 1}
    mapping["me"] = [mapping]
    return mapping


def deep(levels):
    value = "bottom"
    for _ in range(levels):
        value = {"down": value}
    return value


# A value, what stands in its place, and whether it is marked as mended or cut.
VALUES = {
    "none": (None, None, []),
    "flag": (True, True, []),
    "int": (7, 7, []),
    "float": (0.1, 0.1, []),
    "text": ('東京 🚗 \u2028 \t \\ "', '東京 🚗 \u2028 \t \\ "', []),
    "largest int": (2**64 - 1, 2**64 - 1, []),
    "least int": (-(2**63), -(2**63), []),
    "huge int": (2**64, "18446744073709551616", ["mended"]),
    "int of 10,000 digits": (10**10_000, "<int whose text fails with ValueError>", ["mended"]),
    "nan": (math.nan, "nan", ["mended"]),
    "infinity": (-math.inf, "-inf", ["mended"]),
    "nan in a list": ([1, math.nan], [1, "nan"], ["mended"]),
    "nan in a mapping": ({"a": {"b": math.inf}}, {"a": {"b": "inf"}}, ["mended"]),
    "bytes": (b"\xff\xfeabc", "��abc", ["mended"]),
    "bytearray": (bytearray(b"abc"), "abc", ["mended"]),
    "memoryview": (memoryview(b"abc"), ..., ["mended"]),
    "lone surrogate": ("a\udc80b", "a\\udc80b", ["mended"]),
    "lone surrogate in a list": (["\ud800"], ["\\ud800"], ["mended"]),
    "set": ({1}, [1], []),
    "frozenset": (frozenset({"a"}), ["a"], []),
    "tuple": ((1, "a", None), [1, "a", None], []),
    "named tuple": (Point(1, 2), [1, 2], []),
    "list": ([1, [2, {"a": 3}]], [1, [2, {"a": 3}]], []),
    "mapping": ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
    "keys of any type": ({1: "a", None: "b", (2, 3): "c"}, {"1": "a", "None": "b", "(2, 3)": "c"}, []),
    "key that fails": ({Mute(): 1}, {"<Mute whose text fails with KeyError>": 1}, ["mended"]),
    "key with a zero": ({"a\0b": 1}, {"a�b": 1}, ["mended"]),
    "ordered mapping": (OrderedDict(b=1, a=2), {"b": 1, "a": 2}, []),
    "mapping of another kind": (UserDict(a=1), {"a": 1}, []),
    "mapping that fails": (Crooked(a=1), "<Crooked that fails with RuntimeError>", ["mended"]),
    "time": (dt.time(1, 2, 3), "01:02:03", []),
    "day": (dt.date(2026, 11, 24), "2026-11-24", []),
    "moment": (dt.datetime(2026, 11, 24, 1, 2, 3, tzinfo=dt.UTC), "2026-11-24T01:02:03+00:00", []),
    "duration": (dt.timedelta(seconds=90), "0:01:30", ["mended"]),
    "uuid": (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007", []),
    "enum": (Colour.RED, "red", []),
    "int enum": (Level.HIGH, 3, []),
    "decimal": (Decimal("1.10"), "1.10", ["mended"]),
    "fraction": (Fraction(1, 3), "1/3", ["mended"]),
    "complex": (1j, "1j", ["mended"]),
    "path": (Path("/cars"), "/cars", ["mended"]),
    "dataclass": (Wheel(17), "Wheel(size=17, password='***')", ["mended"]),
    "type": (int, "<class 'int'>", ["mended"]),
    "exception": (ValueError("no"), "no", ["mended"]),
    "generator": ((n for n in ()), ..., ["mended"]),
    "text that fails": (Nasty(), "<Nasty whose text fails with KeyError>", ["mended"]),
    "list of those": ([Nasty(), 1], ["<Nasty whose text fails with KeyError>", 1], ["mended"]),
    "circle": (circle(), ..., ["cut"]),
    "nested as deep as allowed": (deep(MAX_DEPTH), deep(MAX_DEPTH), []),
    "nested too deep": (deep(MAX_DEPTH + 1), ..., ["cut"]),
    "nested a thousand deep": (deep(1000), ..., ["cut"]),
    "long text": ("x" * MAX_LABEL_BYTES, "x" * MAX_LABEL_BYTES, []),
    "too long a text": ("x" * 5_000_000, "x" * MAX_LABEL_BYTES + "… [cut, 5000000 characters]", ["cut"]),
    "long bytes": (b"x" * 5_000_000, ..., ["cut", "mended"]),
    "long text of another script": ("車" * MAX_LABEL_BYTES, ..., ["cut"]),
    "long list": ([0] * 100_000, [0] * MAX_ITEMS, ["cut"]),
    "long set": (set(range(100_000)), ..., ["cut"]),
    "long mapping": ({str(n): n for n in range(100_000)}, {str(n): n for n in range(MAX_ITEMS)}, ["cut"]),
    "secret": ({"password": "hunter2"}, {"password": "***"}, []),
    "secret in a list": ([{"token": "hunter2"}], [{"token": "***"}], []),
}


@pytest.mark.parametrize("name", VALUES)
def test_any_value_makes_a_line(name):
    """One JSON object within the limits, the same at each call; what had to be replaced or cut is marked."""
    value, expected, tags = VALUES[name]

    bodies = [encode("car created", {"value": value, "car": 7}) for _ in range(3)]

    body = orjson.loads(bodies[0])
    assert bodies == [bodies[0]] * 3
    assert len(bodies[0]) < LINE_BYTES - 10_000
    assert body["message"] == "car created"
    assert body["labels"]["car"] == 7
    assert expected is ... or body["labels"]["value"] == expected
    assert body.get("tags", []) == tags
    assert b"hunter2" not in bodies[0]


@pytest.mark.parametrize("name", VALUES)
def test_any_value_may_be_the_message(name):
    """It becomes a text."""
    body = encode(VALUES[name][0], {})

    assert isinstance(orjson.loads(body)["message"], str)
    assert len(body) < 2 * MAX_TEXT_BYTES + 1000


def test_a_hundred_thousand_labels():
    """The first ones are kept, and that some are not is marked."""
    body = encoded("m", {f"label{number}": number for number in range(100_000)})

    assert body["labels"] == {f"label{number}": number for number in range(MAX_ITEMS)}
    assert body["tags"] == ["cut"]


def test_no_value_is_longer_than_a_destination_takes():
    """8,000 bytes of UTF-8, whatever the script and however short the line."""
    for text in ("車" * 7_900, "🚗" * 7_900, "é" * 7_990):
        (value,) = encoded("m", {"value": text})["labels"].values()

        assert len(value.encode()) <= MAX_LABEL_BYTES + 40


WIDE = {f"{letter}{n}": "\x01" * 3000 for n in range(600) for letter in "ab"}
DEEP = {str(n): [[f"{n}/{m}" * 10] for m in range(600)] for n in range(30)}


@pytest.mark.parametrize("message", ["m", "\x01" * 200_000, '"' * 200_000, "車" * 200_000, "\udc80" * 200_000])
@pytest.mark.parametrize("fields", [{}, WIDE, DEEP, {"a": [[[]] * 600] * 600, "b": [DEEP] * 9}, {"k" * 9000: WIDE}])
def test_no_line_is_longer_than_the_spool_takes(message, fields):
    """However much of it is escaped, however wide and deep it is."""
    body = encode(message, fields | {"exc_info": ValueError('"' * 100_000)})

    assert len(body) < LINE_BYTES - 10_000
    assert "cut" in orjson.loads(body)["tags"]


def _raised():
    try:
        raise_it()
    except ValueError as error:
        return error


def raise_it():
    raise ValueError("no wheel")


def test_an_exception():
    """Its type, message and stack trace go where ECS has them; it is no label."""
    error = _raised()

    for exc_info in (error, (ValueError, error, error.__traceback__)):
        body = encoded("failed", {"exc_info": exc_info, "car": 7})

        assert body["labels"] == {"car": 7}
        assert (body["error"]["type"], body["error"]["message"]) == ("ValueError", "no wheel")
        assert body["error"]["stack_trace"].startswith("Traceback (most recent call last):\n")
        assert 'raise ValueError("no wheel")\nValueError: no wheel' in body["error"]["stack_trace"]


def test_the_exception_that_is_being_handled():
    """`exc_info=True` means that one; outside of a handler, none."""
    try:
        raise_it()
    except ValueError:
        handled = encoded("failed", {"exc_info": True})

    assert handled["error"]["type"] == "ValueError"
    assert encoded("fine", {"exc_info": True}) == {"message": "fine"}


@pytest.mark.parametrize(
    ("exc_info", "message"), [((ValueError, "boom", None), "boom"), ((ValueError, None, None), ""), (ValueError, "")]
)
def test_an_exception_that_is_only_a_class(exc_info, message):
    """With a text or without, as some put `exc_info` together by hand: it is an error of that class."""
    error = encoded("failed", {"exc_info": exc_info})["error"]

    assert (error["type"], error.get("message", "")) == ("ValueError", message)


@pytest.mark.parametrize("exc_info", [None, False, 0, (), (None, None, None), "yes", Nasty()])
def test_no_exception(exc_info):
    """Whatever else is given means none, and is no label either."""
    assert encoded("fine", {"exc_info": exc_info}) == {"message": "fine"}


def test_an_exception_whose_text_fails():
    """Its type is told all the same."""

    body = encoded("failed", {"exc_info": KeyError(Mute())})

    assert body["error"]["type"] == "KeyError"


parts = st.sampled_from(
    ["password", "token=", "=", ":", " ", "\n", "hunter2", "://", "a:b@", "eyJ", "Bearer ", "\\", "["]
)
texts = st.lists(parts | st.text(max_size=4), max_size=5).map("".join)
numbers = st.integers(-(2**66), 2**66) | st.floats()
others = st.sampled_from([Colour.RED, Level.HIGH, Wheel(1), uuid.UUID(int=7), {1, 2}, b"x", None, True, Point(1, 2)])
values = st.recursive(
    texts | numbers | others | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.fuzz
@given(texts | numbers, st.dictionaries(texts, values, max_size=4), st.none() | texts.map(ValueError))
def test_the_fast_way_gives_what_the_thorough_one_does(message, fields, error):
    """A log call that is recorded without a close look would have come out of one the same; at every call."""
    fields["exc_info"] = error
    thorough = orjson.loads(_sanitized(message, fields))

    assert encoded(message, fields) == thorough
    assert encoded(message, fields) == thorough


@pytest.mark.parametrize(
    ("time_ns", "kept_ns"), [(-1, 0), (-(2**70), 0), (10**19, 10**19 - 1), (2**64 - 1, 10**19 - 1)]
)
@pytest.mark.parametrize("encode_one", [encode_call, python_encode_call], ids=["compiled", "python"])
def test_a_clock_that_no_line_has_room_for(time_ns, kept_ns, encode_one):
    """Before 1970, or after 2286, as a test may set it: the event is kept, with the nearest time."""
    line = encode_one(time_ns, "info", "car created", {}, b"}\n")

    assert orjson.loads(line) == {"time_ns": kept_ns, "log.level": "info", "message": "car created"}


HIDDEN = {
    "behind a backslash": "password\\a=swordfish",
    "behind a backslash of a line end": "password\\n: swordfish",
    "behind ten quotes": "password" + '"' * 10 + "=swordfish",
    "behind ten backslashes and letters": "password" + "\\a" * 10 + "=swordfish",
    "of an option that begins a line": "curl\n--password swordfish",
    "of an option behind a tab": "curl\t--password swordfish",
    "of an option behind a control character": "curl\1--password swordfish",
    "of an option behind a backslash": "curl \\--password swordfish",
    "behind nothing and a control character": "password=null\1swordfish",
    "behind a number and a control character": "tokens=12\1swordfish",
}


@pytest.mark.parametrize("message", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("encode_one", [encode_call, python_encode_call], ids=["compiled", "python"])
def test_a_secret_where_json_has_an_escape(message, encode_one):
    """The search reads the line as JSON, where an escape stands between a name and its value, or before a name."""
    line = encode_one(TIME_NS, "info", message, {}, b"}\n")

    assert b"swordfish" not in line
    assert orjson.loads(line)["message"] == mask_text(message)


PIECES = (
    "password",
    "api key",
    "--token",
    "Bearer ",
    "pwd",
    "cookie",
    "--",
    "=",
    ":",
    "=>",
    "'",
    '"',
    "`",
    "\\",
    "\n",
    "\1",
)
PIECES += (
    " ",
    ",",
    "(",
    ")",
    "null",
    "12",
    "swordfish7",
    "word",
    "n",
    "u",
    "\\u0041",
    "é",
    "value",
    "is ",
    "<",
    "</",
    "%",
)


@pytest.mark.fuzz
@given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=9).map("".join))
def test_texts_of_names_and_signs(message):
    """A text that is recorded without a close look has nothing that a close look would mask."""
    for encode_one in (encode_call, python_encode_call):
        assert orjson.loads(encode_one(TIME_NS, "info", message, {}, b"}\n"))["message"] == mask_text(message)


LONG = {
    "as long as may be": "x" * 65_536,
    "longer": "x" * 65_537,
    "wide letters": "é" * 16_384,
    "more wide letters": "é" * 16_385,
    "many escapes": "\n" * 15_900,
    "more escapes": "\n" * 40_000,
    "control characters": "\1" * 3_000,
    "more control characters": "\1" * 30_000,
    "a secret": "token=hunter2x " * 1_500,
}


@pytest.mark.parametrize("message", LONG.values(), ids=LONG)
@pytest.mark.parametrize("fields", [{}, {"a": "y" * 8_000}, {"a": "y" * 7_900, "b": "z" * 8_001}, {"a": [1] * 500}])
def test_a_long_message_is_recorded_as_the_thorough_way_does(message, fields):
    """Whether it is cut, how long its JSON is, and what is beside it."""
    assert encoded(message, fields) == orjson.loads(_sanitized(message, fields))


def test_a_line():
    """The parts in their order, outside of any request."""
    line = encode_call(1795484146123456789, "info", "car created", {"car": 7}, b',"event":{}}\n')

    assert line == (
        b'{"time_ns":1795484146123456789,"log.level":"info","message":"car created","labels":{"car":7},"event":{}}\n'
    )


@pytest.mark.parametrize("encode", [encode_call, python_encode_call])
def test_what_a_signal_handler_raises_goes_on(encode):
    """Ctrl-C, or a time-out of gunicorn, while a value is asked for its text: orjson makes a `TypeError` of it."""
    asked = []

    class Interrupted:
        def __str__(self):
            asked.append(self)
            if len(asked) == 1:
                raise KeyboardInterrupt
            return "text"

    with pytest.raises(KeyboardInterrupt):
        encode(0, "info", "a car", {"parts": [Interrupted()]}, b"}\n")


class _Exits:
    def __str__(self):
        return sys.exit(3)


@pytest.mark.parametrize("encode", [encode_call, python_encode_call])
def test_a_value_whose_text_would_end_the_program(encode):
    """`logging` does not ask an `extra` for its text: the program goes on, and the line says what happened."""
    for fields in ({"car": _Exits()}, {"parts": [_Exits()]}, {"exc_info": ValueError(_Exits())}):
        assert b"fails with SystemExit" in encode(0, "info", "a car", fields, b"}\n")
    arguments = (_Exits(),)
    assert message_of("a %s", arguments) == ("a %s", arguments)


def test_an_exit_by_a_signal_handler_goes_on():
    """As that of gunicorn's workers: a function, a method, a partial, an object."""

    def leave(*_):
        sys.exit(3)

    class Worker:
        def stop(self, *_):
            sys.exit(3)

        __call__ = stop

    class Killed:
        def __str__(self):
            signal.raise_signal(signal.SIGUSR1)
            return "text"

    before = signal.getsignal(signal.SIGUSR1)
    try:
        for handler in (leave, Worker().stop, partial(leave), Worker()):
            signal.signal(signal.SIGUSR1, handler)
            with pytest.raises(SystemExit):
                encode_call(0, "info", "a car", {"car": Killed()}, b"}\n")
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("encode", [encode_call, python_encode_call])
def test_the_requests_of_frameworks_are_left_out(encode):
    """Starlette's is a mapping of all headers; a class of the program's own may have such a name."""

    @dataclasses.dataclass
    class RepairRequest:
        car_id: int

    scope = {"type": "http", "headers": [(b"cookie", b"session=s3cr3t")]}
    fields = {
        "request": Request(scope),
        "asked": RepairRequest(7),
        "all": [Request(scope)],
        "in": {"it": Request(scope)},
    }

    labels = orjson.loads(encode(0, "info", "a car", fields, b"}\n"))["labels"]

    assert labels.pop("asked").endswith("RepairRequest(car_id=7)")
    assert labels == {"all": ["<Request>"], "in": {}}
