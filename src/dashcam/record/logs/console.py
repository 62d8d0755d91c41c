"""The console: a process's log calls as text or JSON, and a JSON formatter for any handler of `logging`."""

import logging
import os
import re
import sys
import threading
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pythonjsonlogger.json import JsonFormatter

from dashcam import forks
from dashcam.codec import orjson
from dashcam.event import NS_PER_S, format_time
from dashcam.record.context.service import Service, common_fields
from dashcam.record.logs.stdlib import encode_record
from dashcam.spool.segment import new_segment_id
from dashcam.spool.turn import print_error

if TYPE_CHECKING:
    from pythonjsonlogger.core import LogData  # since 4.0

Mode = Literal["auto", "text", "json"]

MAX_FORK_WAIT_S = 1.0  # for another thread's line on a console that nobody reads

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal would obey them


def event_of(record: logging.LogRecord, service: Service, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the event of a record as it is recorded, but with an `event.id` of its own and no `event.sequence`."""
    event: dict[str, Any] = orjson.loads(encode_record(record, fields))
    now_ns = event.pop("time_ns")
    event["event"] |= {"id": new_segment_id(now_ns), "dataset": service.name}
    return {"@timestamp": format_time(now_ns)} | event | common_fields(service)


def as_text(event: dict[str, Any]) -> str:
    """Return an event as a person reads it: local time, level, logger, message, labels, request ID, stack trace.

    >>> as_text({"time_ns": 0, "log.level": "info", "message": "created", "log": {"logger": "cars"}})
    '00:00:00.000 INFO     cars  created'
    """
    at = datetime.fromtimestamp(event["time_ns"] / NS_PER_S).astimezone()
    labels = dict(event.get("labels", {}))
    if request := event.get("http", {}).get("request", {}).get("id"):
        labels["request_id"] = request
    said = [event["message"], *(f"{name}={_as_word(value)}" for name, value in labels.items())]
    head = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {event['log.level'].upper():8} {event['log']['logger']}"
    text = "  ".join([head, *said])
    if trace := event.get("error", {}).get("stack_trace"):
        text += "\n" + trace.rstrip("\n")
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _as_word(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if text and not re.search(r"[\s\"=]", text) else orjson.dumps(text).decode()


class Console:
    """Prints log calls that no handler takes to standard error: as text on a terminal, else as JSON."""

    def __init__(self, mode: Mode, service: Service) -> None:
        self._mode = mode
        self._service = service

    def write(self, record: logging.LogRecord, fields: dict[str, Any] | None) -> None:
        """Print one log call; never raises. The event is recorded whether or not anybody can read it here."""
        if _is_stuck:
            return
        try:
            if self._mode == "text" or (self._mode == "auto" and sys.stderr.isatty()):
                line = as_text(orjson.loads(encode_record(record, fields)))
            else:
                line = orjson.dumps(event_of(record, self._service, fields)).decode()
            # At the end of the interpreter one thread is left, and a stopped one may hold the lock.
            with nullcontext() if sys.is_finalizing() else _writing:
                print_error(line)
        except Exception:  # noqa: BLE001 — closed, gone, or in the middle of another write that a signal interrupted
            return


# A fork while another thread writes would leave the lock of Python's own stream locked in the child for ever.
_writing = threading.RLock()
_forking = threading.local()
_is_stuck = False  # in a child of a process whose console took no line: what is locked there stays locked here


def _before_fork() -> None:
    _forking.holds = _writing.acquire(timeout=MAX_FORK_WAIT_S)


def _after_fork() -> None:
    if _forking.__dict__.pop("holds", False):
        _writing.release()


def _after_fork_in_child() -> None:
    global _is_stuck
    _is_stuck = _is_stuck or _forking.__dict__.get("holds") is False
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)
forks.in_child(_after_fork_in_child)


class EcsFormatter(JsonFormatter):
    """A `logging.Formatter` that returns the event of a log call as one line of JSON (Elastic Common Schema).

    For files, and for a process that does not record. Each event has an `event.id` of its own and
    no `event.sequence`. `OTEL_SERVICE_NAME` goes before `service`.

    >>> handler = logging.StreamHandler()
    >>> handler.setFormatter(EcsFormatter(service="cars"))
    """

    def __init__(self, *args: Any, service: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._service = Service.of_process(service)

    def add_fields(self, log_data: "LogData", record: logging.LogRecord, message_dict: "LogData") -> None:  # noqa: ARG002 — the parent's signature
        """Fill in the event."""
        log_data.update(event_of(record, self._service))

    def jsonify_log_record(self, log_data: "LogData") -> str:
        """Return the event as one line."""
        return orjson.dumps(log_data).decode()
