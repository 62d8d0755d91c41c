"""The standard library's log records, made in half the time: the same class, the same attributes, the same values.

Most of what `logging` puts into a record is the same for every record of one call in the code, and what it says of the
file took longest to find out. How records are made is the process's to say (`logging.setLogRecordFactory`), so each
library's log call gets cheaper by this, whoever handles it.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from time import time_ns
from typing import Any

_OF_THE_CALL = {"name", "levelname", "levelno", "pathname", "filename", "module", "lineno", "funcName", "exc_text"}
_OF_THE_MOMENT = {"msg", "args", "exc_info", "stack_info", "created", "msecs", "relativeCreated"}
_OF_WHO_RUNS = {"thread", "threadName", "process", "processName", "taskName"}

_new = logging.LogRecord.__new__


@lru_cache(maxsize=4096)
def _attributes_at(name: str, level: int, pathname: str, lineno: int, func: str | None) -> dict[str, Any]:
    """What `logging` itself puts into a record of this call."""
    return logging.LogRecord(name, level, pathname, lineno, "", (), None, func).__dict__


os.register_at_fork(after_in_child=_attributes_at.cache_clear)  # the process is another one

_now = logging.LogRecord("", 0, "", 0, "", (), None)
_started_s = _now.created - _now.relativeCreated / 1000
_has_tasks = hasattr(_now, "taskName")
is_known = _now.__dict__.keys() <= _OF_THE_CALL | _OF_THE_MOMENT | _OF_WHO_RUNS
"""Whether this Python's records have no attribute that a release after this page gave them."""


def _process_name() -> str:
    try:
        return str(sys.modules["multiprocessing"].current_process().name)
    except AttributeError:  # a log call while that module is being imported
        return "MainProcess"


def _task_name() -> str | None:
    asyncio = sys.modules.get("asyncio")
    # Without a running loop `current_task` raises, and that takes as long as all the rest.
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
    """A `logging.LogRecord` of these arguments, as `logging.setLogRecordFactory` asks for it."""
    now_ns = time_ns()
    try:
        values = _attributes_at(name, level, pathname, lineno, func).copy()
        is_whole = logging.logThreads and logging.logProcesses and logging.logMultiprocessing
    except TypeError:  # nothing a key can be made of; some make records by hand
        is_whole = False
    if not is_whole:
        return logging.LogRecord(name, level, pathname, lineno, msg, args, exc_info, func, sinfo, **kwargs)
    if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        args = args[0]
    values["msg"] = msg
    values["args"] = args
    values["exc_info"] = exc_info
    values["stack_info"] = sinfo
    values["levelname"] = logging.getLevelName(level)  # may be renamed
    values["created"] = created_s = now_ns / 1e9
    values["msecs"] = now_ns // 1_000_000 % 1000 + 0.0
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
