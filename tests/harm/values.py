"""Odd values by name: each does something of its own when it is asked what it is, or for its text.

`VALUES` makes each; `FAILING` are those of which nothing can be recorded but a mark.
"""

import enum
import fractions
import math
from collections import UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple
from uuid import UUID


class Odd(Exception):
    """What an odd value raises."""


def _raise(*_: object, **__: object) -> Any:
    raise Odd("odd")


class RaisingText:
    __str__ = __repr__ = _raise


class RaisingClass:
    __class__ = property(_raise)


class RaisingAttributes:
    __getattr__ = __getattribute__ = _raise


class LyingClass:
    """An object that claims to be a dictionary."""

    __class__ = dict


class LyingMember:
    """An object that claims to be a member of an enumeration."""

    __class__ = enum.Enum


class RaisingHash(str):
    __slots__ = ()
    __hash__ = __eq__ = __len__ = __str__ = _raise


class RaisingTruth:
    __bool__ = __len__ = _raise


class RaisingName(type):
    __name__ = property(_raise)


class RaisingKind(type):
    __hash__ = __eq__ = __instancecheck__ = __subclasscheck__ = __getattribute__ = _raise


class OddlyNamed(metaclass=RaisingName):
    __str__ = _raise


class OddKind(metaclass=RaisingKind):
    pass


class LyingList(list):
    def __len__(self):
        return 1 << 40

    def __iter__(self):
        return iter(lambda: 7, 8)


class RaisingList(list):
    __len__ = __iter__ = __getitem__ = __str__ = __repr__ = _raise


class RaisingSet(set):
    __len__ = __iter__ = __contains__ = __str__ = __repr__ = _raise


class RaisingTuple(tuple):
    __slots__ = ()
    __len__ = __iter__ = __getitem__ = __str__ = __repr__ = _raise


class RaisingDict(dict):
    __len__ = __iter__ = __getitem__ = keys = items = values = __str__ = __repr__ = _raise


class LyingDict(dict):
    """A dictionary whose methods name what is not in it."""

    def keys(self):
        return ["absent", 7]

    def items(self):
        return [("absent",), 7]

    def __iter__(self):
        return iter(["absent"])

    def __len__(self):
        return -1  # noqa: PLE0303 — it lies


class LyingMapping(Mapping):
    def __len__(self):
        return 2

    def __iter__(self):
        return iter(["there", "absent"])

    def __getitem__(self, name):
        return {"there": 1}[name]


class RaisingInt(int):
    __int__ = __index__ = __str__ = __repr__ = __le__ = __ge__ = __lt__ = __gt__ = __eq__ = __hash__ = _raise


class RaisingFloat(float):
    __float__ = __str__ = __repr__ = __le__ = __ge__ = __eq__ = __hash__ = _raise


class RaisingString(str):
    __slots__ = ()
    __str__ = __repr__ = encode = isascii = __getitem__ = __contains__ = __mod__ = _raise


class RaisingBytes(bytes):
    decode = __getitem__ = __str__ = __repr__ = _raise


class RaisingDecimal(Decimal):
    __str__ = __repr__ = __format__ = _raise


class RaisingDate(date):
    isoformat = __str__ = __repr__ = _raise


class RaisingMember(enum.Enum):
    ONE = 1

    @property
    def value(self):
        raise Odd("odd")


class Bare(enum.Enum):
    ONE = 1


def _without_value():
    class Emptied(enum.Enum):
        ONE = 1

    del Emptied.ONE._value_
    return Emptied.ONE


def _member_of_itself():
    class Ring(enum.Enum):
        ONE = 1

    Ring.ONE._value_ = Ring.ONE
    return Ring.ONE


class Zone(tzinfo):
    """A time zone whose distance from UTC is what it is given, or what that raises."""

    def __init__(self, offset):
        self.offset = offset

    def utcoffset(self, moment):
        return self.offset() if callable(self.offset) else self.offset

    dst = utcoffset

    def tzname(self, moment):
        raise Odd("odd")


@dataclass
class Point:
    x: Any
    y: Any


@dataclass
class RaisingPoint:
    x: Any

    __str__ = __repr__ = _raise


@dataclass(slots=True)
class Emptied:
    x: Any


class Pair(NamedTuple):
    name: Any
    value: Any


class RaisingError(Exception):
    __str__ = __repr__ = with_traceback = _raise
    __notes__ = property(_raise)
    __cause__ = __context__ = __traceback__ = property(_raise)


class Exit(Exception):
    """An exception that has a code, as that of click."""

    exit_code = property(_raise)


def _emptied():
    made = Emptied(1)
    del made.x
    return made


def _circle(kind=list):
    made = kind()
    made.append(made)
    return made


def _circle_of_dicts():
    made = {}
    made["self"] = [made]
    return made


def _deep(levels, kind=list):
    made = kind()
    for _ in range(levels):
        made = {"in": made} if kind is dict else kind((made,))
    return made


def _laughs(levels, wrap=lambda inner: [inner, inner]):
    """Shared children: so many levels, twice as many values on each."""
    made = ["ha"]
    for _ in range(levels):
        made = wrap(made)
    return made


def _caused():
    error = ValueError("outer")
    error.__cause__ = KeyError("inner")
    error.__cause__.__cause__ = error
    error.__notes__ = [RaisingText(), 7, "a note"]
    return error


def _aware(zone):
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone)


FAILING: Final[dict[str, Callable[[], Any]]] = {
    "text that raises": RaisingText,
    "attributes that raise": RaisingAttributes,
    "kind without a name": OddlyNamed,
    "member that raises": lambda: RaisingMember.ONE,
    "member without a value": _without_value,
    "zone that raises": lambda: _aware(Zone(_raise)),
    "zone of nonsense": lambda: _aware(Zone("nonsense")),
    "zone of days": lambda: _aware(Zone(timedelta(days=9))),
    "decimal that raises": lambda: RaisingDecimal(1),
    "data that raises": lambda: RaisingPoint(1),
}

VALUES: Final[dict[str, Callable[[], Any]]] = FAILING | {
    "list that raises": lambda: RaisingList([1]),
    "dict that raises": lambda: RaisingDict(a=1),
    "class that raises": RaisingClass,
    "class that lies": LyingClass,
    "member that is none": LyingMember,
    "hash that raises": lambda: RaisingHash("text"),
    "truth that raises": RaisingTruth,
    "kind that raises": OddKind,
    "kind itself": lambda: OddKind,
    "kind without a name itself": lambda: OddlyNamed,
    "list that lies": LyingList,
    "set that raises": lambda: RaisingSet({1}),
    "tuple that raises": lambda: RaisingTuple((1,)),
    "dict that lies": lambda: LyingDict(a=1),
    "mapping that lies": LyingMapping,
    "number that raises": lambda: RaisingInt(7),
    "fraction that raises": lambda: RaisingFloat(0.5),
    "string that raises": lambda: RaisingString("text"),
    "bytes that raise": lambda: RaisingBytes(b"text"),
    "date that raises": lambda: RaisingDate(2026, 1, 2),
    "member of itself": _member_of_itself,
    "member": lambda: Bare.ONE,
    "zone of None": lambda: _aware(Zone(None)),
    "time with a zone": lambda: time(1, 2, tzinfo=Zone(_raise)),
    "first moment": lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
    "last moment": lambda: datetime.max.replace(tzinfo=UTC),
    "data": lambda: Point(1, [Point(2, RaisingText())]),
    "data without a field": _emptied,
    "pair": lambda: Pair("password", "hunter2"),
    "error that raises": RaisingError,
    "error with a code": Exit,
    "error of itself": _caused,
    "group of errors": lambda: ExceptionGroup("group", [_caused(), RaisingError()]),
    "circle": _circle,
    "circle of dicts": _circle_of_dicts,
    "queue of itself": lambda: _circle(deque),
    "100,000 lists": lambda: _deep(100_000),
    "100,000 tuples": lambda: _deep(100_000, tuple),
    "100,000 dicts": lambda: _deep(100_000, dict),
    "shared lists": lambda: _laughs(40),
    "shared dicts": lambda: _laughs(40, lambda inner: {"a": inner, "b": inner}),
    "shared tuples": lambda: _laughs(40, lambda inner: (inner, inner)),
    "huge number": lambda: 10**5000,
    "number of 65 bits": lambda: 1 << 64,
    "infinite": lambda: math.inf,
    "no number": lambda: math.nan,
    "complex": lambda: complex(1, math.nan),
    "ratio": lambda: fractions.Fraction(1, 3),
    "half a character": lambda: "\ud800 and \udfff",
    "control characters": lambda: "".join(map(chr, range(32))) + "\x7f\u2028\ufeff",
    "names of control characters": lambda: {"\0": 1, "\t": 2, "\ud800": 3, "": 4},
    "names of all kinds": lambda: {1: 1, None: 2, (1, 2): 3, 0.5: 4, RaisingText(): 5, b"x": 6},
    "long text": lambda: "x" * 300_000,
    "many items": lambda: list(range(100_000)),
    "many names": lambda: {str(number): number for number in range(10_000)},
    "bytes": lambda: b"\xff\x00text",
    "buffer": lambda: memoryview(bytearray(b"text")),
    "generator": lambda: (number for number in range(3)),
    "function": lambda: _raise,
    "module": lambda: math,
    "path": lambda: PurePosixPath("/cars/7"),
    "uuid": lambda: UUID(int=7),
    "user's dict": lambda: UserDict(a=RaisingText()),
    "user's list": lambda: UserList([RaisingText()]),
    "user's string": lambda: UserString("text"),
    "dict that makes": lambda: defaultdict(list, a=[1]),
    "set of all kinds": lambda: {1, "a", None, (1, 2), b"x", frozenset({1})},
    "nothing": lambda: None,
}

ENDLESS: Final = frozenset(name for name in VALUES if name.startswith("shared"))
"""Values whose text never ends."""
