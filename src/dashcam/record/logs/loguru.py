"""Log calls of loguru, which does not use `logging`."""

import logging
from typing import Any

from dashcam.record.logs.logger import record_event


def loguru_handler() -> dict[str, Any]:
    """Return the arguments of a handler that records what loguru logs, for its `add` and its `configure`.

    Message, level, exception and the values of `bind` and `contextualize` are recorded, from `LOG_LEVEL` on. Do not add
    `enqueue=True`: its thread knows no request.

    >>> from loguru import logger
    >>> number = logger.add(**loguru_handler())
    >>> logger.bind(car_id=7).info("car created")
    >>> logger.remove(number)
    """
    return {
        "sink": _record,
        "level": logging.NOTSET,  # `LOG_LEVEL` and `LOG_LEVELS` decide
        "format": _empty,
        "backtrace": False,
        "diagnose": False,
    }


def _empty(_: object) -> str:
    """Return the text that the handler is to write: none, and no exception is formatted for it."""
    return ""


def _record(message: Any) -> None:
    """Record a message of loguru: a text with a `record`, by loguru's documentation of `add`."""
    record = message.record
    name, level = record["name"] or "loguru", record["level"].no  # code that is in no module has no name
    time_ns = int(record["time"].timestamp() * 1_000_000) * 1_000
    fields = {**record["extra"], **({"exc_info": tuple(record["exception"])} if record["exception"] else {})}
    record_event(name, level, record["message"], fields, time_ns)
