"""Events of structlog where it prints them itself, without `logging`."""

import logging
import time
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

from dashcam.record import recorder
from dashcam.record.line import encode_call
from dashcam.record.logger import level_name, line_suffix

_suffix_of = lru_cache(256)(line_suffix)
_LEVELS = logging.getLevelNamesMapping() | {"EXCEPTION": logging.ERROR}
_NO_LABELS = frozenset({"event", "level", "logger", "timestamp", "stack_info"})  # those with fields of their own


def structlog_processor(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Record an event of structlog, from `LOG_LEVEL` on, and return it unchanged for the next processor.

    Put it behind the processors that add values, and before the one that renders, or those that format exceptions.

    >>> import structlog
    >>> structlog.configure(processors=[structlog_processor, structlog.processors.JSONRenderer()])
    >>> structlog.get_logger().info("car created", car_id=7)
    {"car_id": 7, "event": "car created"}
    >>> structlog.reset_defaults()
    """
    name, level = str(event.get("logger") or "structlog"), _LEVELS.get(method.upper(), logging.INFO)
    active = recorder.current()
    if level >= active.level_of(name):
        try:
            labels = {str(each): value for each, value in event.items() if each not in _NO_LABELS}
            said = event.get("event", "")
            active.append(encode_call(time.time_ns(), level_name(level), said, labels, _suffix_of(name)))
        except Exception:  # noqa: BLE001 — a log call never fails its caller
            recorder.drop("error")
    return event
