"""Ordinary events: a message and its fields by kind, and how a caller writes the log call down.

A caller that gives a dictionary makes it for the call; one that gives keywords leaves that to whom it calls.
"""

import enum
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from benchmarks.event import FIELDS, MESSAGE


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Wheel:
    size: int
    maker: str
    is_spare: bool = False


def _raised() -> tuple[type[BaseException], BaseException, Any]:
    def mount(wheel: int) -> None:
        raise ValueError(f"wheel {wheel} does not fit")

    try:
        mount(7)
    except ValueError as error:
        return type(error), error, error.__traceback__
    raise AssertionError


AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
SQL = "SELECT c.id, c.name FROM cars c JOIN wheels w ON w.car_id = c.id WHERE c.price >= 25000 AND w.size IN (16, 17)"
CAR = {"id": 42, "name": "VW Golf", "engine": {"name": "1.6 TDI", "kw": 77}, "wheels": [{"size": 17}, {"size": 17}]}
LONG = " ".join(["The car was driven from Wolfsburg to Berlin without a stop and arrived in good order."] * 118)

CORPUS: dict[str, tuple[str, dict[str, Any]]] = {
    "the benchmark's own": (MESSAGE, FIELDS),
    "access line, user agent": (
        'GET /cars/42?limit=2 HTTP/1.1" 200',
        {"method": "GET", "path": "/cars/42", "status": 200, "bytes": 5120, "user_agent": AGENT, "ms": 12.5},
    ),
    "URL with a query": (
        "fetched parts",
        {"url": "https://parts.example.org/wheels?car=42&size=17&page=3", "status": 200, "ms": 7.1},
    ),
    "time stamps": (
        "shift ended",
        {"began": "2026-11-25T12:00:00.000Z", "ended": "2026-11-25T20:00:00.000Z", "log": "20:00:01 INFO done"},
    ),
    "SQL": ("query", {"sql": SQL, "rows": 17, "ms": 3.25, "database": "cars"}),
    "key=value text": ("worker=3 queue=cars jobs=17 state=idle", {"took": "12ms", "detail": "size=17 maker=BBS"}),
    "JSON in a string": (
        "received",
        {"body": '{"car": 42, "wheels": [17, 17], "name": "VW Golf", "new": true}', "content_type": "application/json"},
    ),
    "IPv6 and ports": ("connected", {"peer": "[2001:db8::17]:54321", "local": "10.0.0.7:5432", "tls": "TLSv1.3"}),
    "e-mail address": ("car ordered", {"customer": "ann.smith@example.org", "car_id": 42, "via": "web"}),
    "Windows path, percent": ("disk at 87%", {"path": "C:\\cars\\photos\\golf.jpg", "used": "87%", "free_gb": 13}),
    "stack trace as text": (
        "job failed",
        {"trace": "".join(traceback.format_exception(*_raised())), "job": "mount", "attempt": 3},
    ),
    "list and null": ("sorted", {"sizes": [16, 17, 18, 19], "names": ["a", "b", "c"], "former": None, "note": None}),
    "nested objects": ("car loaded", {"car": CAR, "source": {"table": "cars", "cached": False}}),
    "no fields": ("worker started and waiting for jobs", {}),
    "dataclass": ("wheel mounted", {"wheel": Wheel(17, "BBS"), "position": 3}),
    "date and time": ("booked", {"at": datetime(2026, 11, 25, 12, 0, 1, 250000, tzinfo=UTC), "car_id": 42}),
    "UUID": ("stored", {"id": UUID("7f0c1d2e-1111-2222-3333-000000000042"), "car_id": 42}),
    "decimal": ("priced", {"price": Decimal("25000.50"), "tax": Decimal("0.19"), "currency": "EUR"}),
    "enum": ("painted", {"colour": Colour.RED, "car_id": 42}),
    "bytes": ("frame", {"payload": b"\x01\x02abc", "size": 5}),
    "set": ("tagged", {"tags": {"new", "red", "diesel"}, "car_id": 42}),
    "long text, 10 kB": (LONG, {"car_id": 42, "pages": 3}),
    "emoji and other scripts": ("車が届きました 🚗", {"ort": "Köln", "名前": "ゴルフ", "mood": "😀🎉"}),
    "30 fields": ("measured", {f"sensor_{number}": number * 1.5 for number in range(30)}),
    "numbers only": ("41", {"a": 1, "b": 2.5, "c": 3, "d": 4_000_000_000, "e": -5, "f": 0.001}),
    "a masked secret": ("logged in", {"user": "ann", "password": "hunter2", "ip": "10.0.0.7", "tries": 1}),
    "exception with traceback": ("job failed", {"job": "mount", "exc_info": _raised()}),
}

# Values that are masked within a text, cut or replaced: each takes a longer way.
LONGER_WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "token in a URL": ("fetched parts", {"url": "https://parts.example.org/wheels?car=42&token=aB3456789xyz"}),
    "password in an address": ("connected", {"dsn": "postgresql://cars:hunter2@db.example.org:5432/cars", "pool": 4}),
    "token by its form": ("called", {"key": "AKIAIOSFODNN7EXAMPLE", "region": "eu-central-1"}),
    "name without a secret": ("token expired", {"token_type": "bearer", "user": "ann"}),
    "not a number": ("trained", {"loss": float("nan"), "epoch": 3}),
    "10 kB in a field, cut": ("received", {"body": LONG, "car_id": 42}),
    "30 kB": (" ".join([LONG] * 3), {"car_id": 42}),
}


def _compiled(line: str, info: Callable[..., None], message: str, fields: dict[str, Any]) -> Callable[[], None]:
    """Return a function of one line of source, as a user has it: names and constants, nothing to unpack."""
    scope = {"info": info, "message": message, "format_exception": traceback.format_exception} | {
        f"v{number}": value for number, value in enumerate(fields.values())
    }
    exec(f"def call():\n    {line}", scope)
    return scope["call"]  # type: ignore[return-value]


def with_keywords(info: Callable[..., None], message: str, fields: dict[str, Any]) -> Callable[[], None]:
    """A call such as `info("car created", car="VW Golf", …)`."""
    written = ", ".join(["message", *(f"{name}=v{number}" for number, name in enumerate(fields))])
    return _compiled(f"info({written})", info, message, fields)


def _with_mapping(info: Callable[..., None], message: str, fields: dict[str, Any], option: str) -> Callable[[], None]:
    pairs = ", ".join(f"{name!r}: v{number}" for number, name in enumerate(fields) if name != "exc_info")
    if "exc_info" in fields and not option:  # picologging 0.9.3 ends the process if it is given the exception
        pairs += f", 'exception': ''.join(format_exception(*v{list(fields).index('exc_info')}))"
    written = ["message", *([f"{option}{{{pairs}}}"] if pairs else [])]
    if "exc_info" in fields and option:
        written.append(f"exc_info=v{list(fields).index('exc_info')}")
    return _compiled(f"info({', '.join(written)})", info, message, fields)


def with_dictionary(info: Callable[..., None], message: str, fields: dict[str, Any]) -> Callable[[], None]:
    """A call such as `info("car created", {"car": "VW Golf", …})`."""
    return _with_mapping(info, message, fields, "")


def with_extra(info: Callable[..., None], message: str, fields: dict[str, Any]) -> Callable[[], None]:
    """A call such as `info("car created", extra={"car": "VW Golf", …})`."""
    return _with_mapping(info, message, fields, "extra=")
