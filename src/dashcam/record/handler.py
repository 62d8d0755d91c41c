"""The standard library's log calls, recorded like our own, and formatted the same for any other stream."""

import logging
from functools import lru_cache
from itertools import islice
from time import time_ns
from typing import Any

import orjson
from pythonjsonlogger.core import LogData
from pythonjsonlogger.json import JsonFormatter

from dashcam.event import format_time
from dashcam.record import recorder
from dashcam.record.line import encode_call
from dashcam.record.logger import line_suffix
from dashcam.record.unhandled import is_recorded
from dashcam.spool.line import MAX_TIME_NS
from dashcam.spool.segment import new_segment_id

# A record's own attributes come first in its dictionary, in an order that never changes; what follows is `extra`.
_OWN = len(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)


def items_after(items: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the items of a dictionary without the first `count`."""
    return dict(islice(items.items(), count, None))


try:
    from dashcam.record._speedups import items_after as _items_after
except ImportError:  # there was no compiler to build it
    _items_after = items_after


def level_name(level: int) -> str:
    """The `log.level` of a numeric level, the next lower standard one for a custom level."""
    names = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
    return names[max(10, min(50, level // 10 * 10))]


@lru_cache(maxsize=4096)
def _level_and_tail(level: int, logger: str) -> tuple[str, bytes]:
    return level_name(level), line_suffix(logger)


def _encode(record: logging.LogRecord) -> bytes:
    """The line of a record; `exc_info` is among its fields."""
    values = record.__dict__
    fields = _items_after(values, _OWN) if len(values) > _OWN else {}
    if "message" in fields or "asctime" in fields:  # a formatter's
        fields.pop("message", None)
        fields.pop("asctime", None)
    if values["exc_info"]:
        fields["exc_info"] = values["exc_info"]
    message = _message_of(record) if values["args"] else values["msg"]
    try:
        created_ns = int(values["created"] * 1e9)
    except (TypeError, ValueError, OverflowError):
        created_ns = -1
    if not 0 <= created_ns <= MAX_TIME_NS:
        created_ns = time_ns()  # anybody can make a record, of any time
    level, tail = _level_and_tail(values["levelno"], values["name"])
    return encode_call(created_ns, level, message, fields, tail)


def _message_of(record: logging.LogRecord) -> object:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 — arguments that do not fit are no reason to lose them
        return record.msg, record.args


class Handler(logging.Handler):
    """Records what any library logs; `extra` becomes `labels`, `exc_info` becomes `error.*`.

    Takes no lock, so a fork or a signal in the middle of a call cannot leave one behind, and never raises.
    """

    def createLock(self) -> None:  # noqa: N802 — the name is the standard library's
        """Have none: the spool needs none."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Record one log call that the filters let pass; the standard one would take the lock, from 3.13 on unasked."""
        if self.filters:
            passed = self.filter(record)
            if not passed:
                return False
            # From 3.12 on a filter may give another record.
            record = passed if isinstance(passed, logging.LogRecord) else record
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Record one log call."""
        active = recorder.current()
        if record.levelno < active.min_level or (record.exc_info and is_recorded(record.exc_info[1])):
            return
        try:
            active.append(_encode(record))
        except Exception:  # noqa: BLE001 — a log call never fails its caller
            recorder.drop("error")


class EcsFormatter(JsonFormatter):
    """The same event as one JSON line for any stream: for a process without a spool, such as gunicorn's master.

    Its events have an `event.id` of their own and no `event.sequence`. `OTEL_SERVICE_NAME` goes before `service`.
    """

    def __init__(self, *args: Any, service: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._service = recorder.Service.of_process(service)

    def add_fields(self, log_data: LogData, record: logging.LogRecord, message_dict: LogData) -> None:  # noqa: ARG002 — the parent's signature
        """Fill in the event."""
        event = orjson.loads(_encode(record))
        now_ns = event.pop("time_ns")
        event["event"] |= {"id": new_segment_id(now_ns), "dataset": self._service.name}
        log_data.update({"@timestamp": format_time(now_ns)} | event | recorder.common_fields(self._service))

    def jsonify_log_record(self, log_data: LogData) -> str:
        """The event as one line."""
        return orjson.dumps(log_data).decode()
