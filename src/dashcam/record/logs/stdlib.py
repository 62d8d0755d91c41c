"""The log calls of the standard library, recorded whatever handlers a program gives them."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, wraps
from time import time_ns
from types import FunctionType
from typing import Any

from dashcam.record import brought
from dashcam.record.context import recorder
from dashcam.record.logs.line import OWN_NAMES, encode_call, error_of, is_true
from dashcam.record.logs.logger import FIELDS, Logger, level_name, line_suffix, message_of, spool_call
from dashcam.record.logs.unhandled import is_recorded
from dashcam.record.values.sanitizer import Sanitizer, exact_text
from dashcam.spool.line import MAX_TIME_NS

_OWN, _OWN_NAMES = len(OWN_NAMES), frozenset(OWN_NAMES)
_OF_FORMATTERS = ("message", "asctime", "color_message")  # what formatters keep on a record; the last is uvicorn's
_OF_STRUCTLOG = ("_logger", "_name")  # what its `wrap_for_formatter` adds to a record
_ROOT_DEFAULT = logging.WARNING

_warn = spool_call(logging.WARNING, "dashcam.logging")
# The access logs of servers, and how the message of such a line ends: werkzeug's logger has other lines, too.
_ACCESS_LOGS = {"uvicorn.access": "", "gunicorn.access": "", "hypercorn.access": "", "werkzeug": '"%s" %s %s'}
_WORKERS = "gunicorn.workers.base"  # each kind of worker loads the application in a method of this module
_is_hooked = False
_left_out: dict[str, str] = {}
_given: set[str] = set()  # loggers that have their level from us


try:
    from dashcam.record._speedups import encode_record as _encode_straight
except ImportError:  # there was no compiler to build it

    def _encode_straight(_values: dict[str, Any], _level: str, _message: object, _tail: bytes, /) -> bytes | None:
        return None


class OurLevel(int):
    """A level that the program did not choose: `LOG_LEVEL`, in place of Python's default, or one of `LOG_LEVELS`."""


@lru_cache(maxsize=4096)
def _level_and_suffix(level: int, logger: str) -> tuple[str, bytes]:
    return level_name(level), line_suffix(logger)


def encode_record(record: logging.LogRecord, fields: dict[str, Any] | None = None) -> bytes:
    """Return the line of a record; `fields` are its labels if they are not its `extra`."""
    values = record.__dict__
    if type(record) is not logging.LogRecord:
        values, fields = _values_of_own_kind(record, fields)
    if type(values.get("msg")) is dict and "_logger" in values and fields is None:
        values, fields = _values_of_structlog(values)
    level, suffix = _level_and_suffix(_level_of(values), _name_of(values))
    message, args = values.get("msg"), values.get("args")
    if type(args) is not tuple or args:
        message = message_of(message, args)
    line = _encode_straight(values, level, message, suffix) if fields is None else None
    return _encode_any(values, fields, level, message, suffix) if line is None else line


def _level_of(values: dict[str, Any]) -> int:
    level: Any = values.get("levelno")
    return int.__pos__(level) if issubclass(type(level), int) else logging.INFO


def _name_of(values: dict[str, Any]) -> str:
    name: Any = values.get("name")
    return exact_text(name) if issubclass(type(name), str) else "" if name is None else Sanitizer().text(name)


def _extra_of(values: dict[str, Any], left_out: Iterable[str]) -> dict[str, Any]:
    """Return what a program added to the attributes of a record; another thread may add to them meanwhile."""
    values = values.copy()
    names = tuple(values)
    added = names[_OWN:] if names[:_OWN] == OWN_NAMES else [name for name in names if name not in _OWN_NAMES]
    return {name: values[name] for name in added if name not in left_out}


def _values_of_own_kind(
    record: logging.LogRecord, fields: dict[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes and labels of a record of a program's own class: its message is what its class says."""
    values = record.__dict__
    if fields is None:
        fields = _extra_of(values, _OF_FORMATTERS)
    if type(record).getMessage is not logging.LogRecord.getMessage:
        with suppress(Exception):  # recorded as any other
            values = values | {"msg": record.getMessage(), "args": None}
    return values, fields


def _values_of_structlog(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes and labels of a record that structlog made for its `ProcessorFormatter`."""
    fields = dict(values["msg"])
    return values | {"msg": fields.pop("event", "")}, _extra_of(values, _OF_STRUCTLOG) | fields


def _encode_any(
    values: dict[str, Any], fields: dict[str, Any] | None, level: str, message: object, suffix: bytes
) -> bytes:
    if fields is None:
        fields = _extra_of(values, _OF_FORMATTERS)
    if errors := {name: values[name] for name in ("exc_info", "stack_info") if is_true(values.get(name))}:
        fields = fields | errors
    try:
        created_ns = int(values["created"] * 1e9)
    except (KeyError, TypeError, ValueError, OverflowError):
        created_ns = -1
    if not 0 <= created_ns <= MAX_TIME_NS:
        created_ns = time_ns()  # anybody can make a record, of any time
    return encode_call(created_ns, level, message, fields, suffix)


def record_log(record: logging.LogRecord, active: recorder.AnyRecorder, fields: dict[str, Any] | None = None) -> None:
    """Record one log call; never raises."""
    try:
        values = record.__dict__
        level, name = _level_of(values), _name_of(values)
        if (
            level < active.min_level
            or (active.levels and level < active.level_of(name))
            or (name in _left_out and str(record.msg).endswith(_left_out[name]))
            or (is_true(values.get("exc_info")) and is_recorded(error_of(record.exc_info)))
        ):
            return
        active.append(encode_record(record, fields))
    except Exception:  # noqa: BLE001 — a log call never fails its caller
        recorder.give_up()


def leave_out_access_logs() -> None:
    """Leave out the servers' access logs: each request that is recorded has a server span that says more."""
    _left_out.update(_ACCESS_LOGS)


def hook(level: str, levels: Iterable[tuple[str, str]] = ()) -> None:
    """Record every log call of the process, and let those of `level` through that Python's default would not.

    `levels` are those of some loggers, and are set on them.

    Replaces `logging.Logger.callHandlers`, which gets each call that passes level and filters. A handler on the root
    logger would be taken away by `dictConfig`, would make `basicConfig` do nothing and keep Flask from adding its own.
    It would also never see a logger that does not propagate, such as gunicorn's.
    """
    global _is_hooked
    _set_levels(level, levels)
    if _is_hooked:
        return
    _is_hooked = True
    call_handlers = logging.Logger.callHandlers
    is_for_handlers, is_pythons_own = _record_and_print, call_handlers.__module__ == "logging"

    # A handler may find who logged by counting frames, or by leaving out those of `logging`. There are no more of them
    # than without us, and ours looks like theirs.
    def call(self: logging.Logger, record: logging.LogRecord) -> None:
        if not is_for_handlers(self, record):
            return
        above, has_handlers = self if is_pythons_own else None, False
        while above:
            for handler in above.handlers:
                has_handlers = True
                if record.levelno >= handler.level:
                    handler.handle(record)
            above = above.parent if above.propagate else None
        if not has_handlers:
            call_handlers(self, record)

    logging.Logger.callHandlers = _as_part_of_logging(call, call_handlers.__name__)  # type: ignore[method-assign]


def _as_part_of_logging(function: Any, name: str) -> Any:
    """Return a function whose frame looks like one of the `logging` module's."""
    code = function.__code__.replace(co_filename=logging.addLevelName.__code__.co_filename, co_name=name)
    return FunctionType(code, vars(logging), name, function.__defaults__, function.__closure__)


def _record_and_print(logger: logging.Logger, record: logging.LogRecord) -> bool:
    """Record a log call, and print it if no handler does; returns true if it is for the handlers."""
    active, fields = recorder.current(), record.__dict__.pop(FIELDS, None)
    record_log(record, active, fields)
    if active.min_level == recorder.OFF:
        return True
    # Without a console Python prints warnings, as it would without us.
    if (active.console is None and fields is None) or _has_handlers(logger):
        return not _is_let_through_by_us(logger, record)
    if active.console:
        active.console.write(record, fields)
    return False


def _set_levels(level: str, levels: Iterable[tuple[str, str]]) -> None:
    numbers, root = logging.getLevelNamesMapping(), logging.getLogger()
    if root.level == _ROOT_DEFAULT or isinstance(root.level, OurLevel):
        root.setLevel(OurLevel(numbers[level]))
    for logger in map(logging.getLogger, _given):
        if isinstance(logger.level, OurLevel):
            logger.setLevel(logging.NOTSET)
    _given.clear()
    for name, given in levels:
        logging.getLogger(name).setLevel(OurLevel(numbers[given]))
        _given.add(name)


def warn_of_disabled_loggers(config: Any) -> None:
    """Record a warning when a configuration disables loggers, as it does by default with all that it does not name."""
    configure_by_file = config.fileConfig

    class Configurator(config.dictConfigClass):  # type: ignore[misc]
        def configure(self) -> None:
            with _naming_disabled_loggers():
                super().configure()

    @wraps(configure_by_file)
    def configure(*args: Any, **kwargs: Any) -> None:
        with _naming_disabled_loggers():
            configure_by_file(*args, **kwargs)

    config.dictConfigClass, config.fileConfig = Configurator, configure


@contextmanager
def _naming_disabled_loggers() -> Iterator[None]:
    before = _disabled_loggers()
    yield
    disabled = _disabled_loggers() - before
    for name in [name for name in disabled if name.partition(".")[0] in brought.LOGGERS]:
        logging.getLogger(name).disabled = False  # without us it would not be there yet
        disabled.remove(name)
    if topmost := sorted(name for name in disabled if not disabled.intersection(_names_above(name))):
        _warn(
            "logging configuration disabled loggers: their calls are not recorded",
            loggers=topmost,
            below_these=len(disabled) - len(topmost),
            fix="set disable_existing_loggers to False in the configuration",
        )


def _names_above(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def warn_of_gunicorns_master(service: str) -> None:
    """Record a warning in a worker of gunicorn that was not recorded before the master made it."""
    frame = sys._getframe() if _WORKERS in sys.modules else None  # noqa: SLF001 — as `logging` does
    while frame and frame.f_globals.get("__name__") != _WORKERS:
        frame = frame.f_back
    if frame:
        _warn(
            "gunicorn's master is not recorded: it only prints its log, such as the timeout of a worker",
            fix=f'dashcam.init("{service}") in gunicorn.conf.py, or gunicorn --preload',
        )


def _disabled_loggers() -> set[str]:
    known = logging.root.manager.loggerDict.copy()
    return {name for name, logger in known.items() if getattr(logger, "disabled", False)}


def _has_handlers(logger: logging.Logger | None) -> bool:
    """Return true if a record comes to a handler that does anything."""
    while logger:
        for each in logger.handlers:
            if not isinstance(each, logging.NullHandler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _is_let_through_by_us(logger: logging.Logger, record: logging.LogRecord) -> bool:
    """Return true if the program's handlers get this record only for a level that we gave a logger."""
    level = _level_of(record.__dict__)
    if level >= _ROOT_DEFAULT or isinstance(logger, Logger):
        return False
    above: logging.Logger | None = logger
    is_ours = False
    while above is not None:
        if above.level and not isinstance(above.level, OurLevel):
            return is_ours and level < above.level
        is_ours = is_ours or bool(above.level)
        above = above.parent
    return is_ours
