"""Events of structlog where it prints them itself, without `logging`."""

import logging
from collections.abc import MutableMapping
from typing import Any

from dashcam.record.logs.logger import record_event

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
    name = event.get("logger")
    labels = {each: value for each, value in event.items() if each not in _NO_LABELS}
    level = _LEVELS.get(method.upper(), logging.INFO)
    record_event(name if isinstance(name, str) else "structlog", level, event.get("event", ""), labels)
    return event
