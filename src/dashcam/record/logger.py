"""Log calls with keyword fields: `get_logger(__name__).info("car created", car_id=car.id)`."""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from dashcam.record import recorder
from dashcam.record.line import encode_call
from dashcam.record.sanitizer import MAX_NAME_BYTES, Sanitizer
from dashcam.spool.line import encode_suffix

_time_ns = time.time_ns


class LogCall(Protocol):
    """A call that records a message and any fields. Never raises; values of any kind will do."""

    def __call__(self, message: object, /, **fields: Any) -> None: ...


def sanitized_name(logger: str) -> str:
    """Return a logger's name as its events show it."""
    return Sanitizer().text(logger, MAX_NAME_BYTES)


def line_suffix(logger: str) -> bytes:
    """Return the bytes that end each line of a logger."""
    return encode_suffix(sanitized_name(logger))


def _call(level: int, tail: bytes) -> LogCall:
    name = logging.getLevelName(level).lower()

    def call(message: object, /, **fields: Any) -> None:
        active = recorder.current()
        if level < active.min_level:
            return
        try:
            active.append(encode_call(_time_ns(), name, message, fields, tail))
        except Exception:  # noqa: BLE001 — a log call never fails its caller
            recorder.drop("error")

    return call


class Logger:
    """The log calls of one name, `log.logger` in its events.

    Fields become `labels`. `exc_info=True`, or an exception, adds `error.*` with the stack trace.
    """

    __slots__ = ("critical", "debug", "error", "info", "name", "warning")

    def __init__(self, name: str) -> None:
        tail = line_suffix(name)
        self.name = name
        self.debug: LogCall = _call(logging.DEBUG, tail)
        self.info: LogCall = _call(logging.INFO, tail)
        self.warning: LogCall = _call(logging.WARNING, tail)
        self.error: LogCall = _call(logging.ERROR, tail)
        self.critical: LogCall = _call(logging.CRITICAL, tail)

    def __repr__(self) -> str:
        return f"<Logger {self.name}>"

    def exception(self, message: object, /, **fields: Any) -> None:
        """Record an error with the exception that is being handled."""
        self.error(message, exc_info=True, **fields)


get_logger: Callable[[str], Logger] = cache(Logger)
