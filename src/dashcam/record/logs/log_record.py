"""Records of the standard library's `logging`, created in half the time: the same class, attributes and values.

Most attributes of a record are the same for every call at one line of code, and those about the file cost the most.
`logging.setLogRecordFactory` sets the factory for the whole process, so that every library's log call gets cheaper,
whichever handler receives it.
"""

import logging
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from time import time_ns
from typing import Any

from dashcam import forks

_CALL_ATTRIBUTES = {"name", "levelname", "levelno", "pathname", "filename", "module", "lineno", "funcName", "exc_text"}
_MOMENT_ATTRIBUTES = {"msg", "args", "exc_info", "stack_info", "created", "msecs", "relativeCreated"}
_RUNNER_ATTRIBUTES = {"thread", "threadName", "process", "processName", "taskName"}

_new = logging.LogRecord.__new__


@lru_cache(maxsize=4096)
def _attributes_at(name: str, level: int, pathname: str, lineno: int, func: str | None) -> dict[str, Any]:
    """Return the attributes that `logging` gives a record of this call."""
    return logging.LogRecord(name, level, pathname, lineno, "", (), None, func).__dict__


forks.in_child(_attributes_at.cache_clear)  # the process ID is another one

_now = logging.LogRecord("", 0, "", 0, "", (), None)
_started_s = _now.created - _now.relativeCreated / 1000
_has_tasks = hasattr(_now, "taskName")
is_known = _now.__dict__.keys() <= _CALL_ATTRIBUTES | _MOMENT_ATTRIBUTES | _RUNNER_ATTRIBUTES
"""True if `make_record` sets every attribute that records have in this release of Python."""


def _process_name() -> str:
    try:
        return str(sys.modules["multiprocessing"].current_process().name)
    except AttributeError:  # a log call while that module is being imported
        return "MainProcess"


def _task_name() -> str | None:
    asyncio = sys.modules.get("asyncio")
    # Without a running loop `current_task` raises an exception, which costs as much as the rest of the record.
    if asyncio is None or not getattr(logging, "logAsyncioTasks", False) or not asyncio._get_running_loop():  # noqa: SLF001
        return None
    task = asyncio.current_task()
    return task.get_name() if task else None


def make_record(  # noqa: PLR0913, PLR0917 — the parameters are the standard library's
    name: str,
    level: int,
    pathname: str,
    lineno: int,
    msg: object,
    args: Any,
    exc_info: Any,
    func: str | None = None,
    sinfo: str | None = None,
    **kwargs: Any,
) -> logging.LogRecord:
    """Return a `logging.LogRecord` of these arguments: a factory for `logging.setLogRecordFactory`."""
    now_ns = time_ns()
    try:
        values = _attributes_at(name, level, pathname, lineno, func).copy()
        has_all_parts = logging.logThreads and logging.logProcesses and logging.logMultiprocessing
    except TypeError:  # an argument cannot be hashed: the record is made by hand
        has_all_parts = False
    if not has_all_parts:
        return logging.LogRecord(name, level, pathname, lineno, msg, args, exc_info, func, sinfo, **kwargs)
    if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        args = args[0]
    values["msg"] = msg
    values["args"] = args
    values["exc_info"] = exc_info
    values["stack_info"] = sinfo
    values["levelname"] = logging.getLevelName(level)  # `logging.addLevelName` can change it
    values["created"] = created_s = now_ns / 1e9
    # Of the rounded time: 100 ns before a full second, that is the second, and 999 ms would be of the next one.
    values["msecs"] = int((created_s - int(created_s)) * 1000) + 0.0
    values["relativeCreated"] = (created_s - _started_s) * 1000
    values["thread"] = threading.get_ident()
    values["threadName"] = threading.current_thread().name
    if "multiprocessing" in sys.modules:
        values["processName"] = _process_name()
    if _has_tasks:
        values["taskName"] = _task_name()
    record = _new(logging.LogRecord)
    record.__dict__ = values
    return record
