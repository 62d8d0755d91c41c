"""Loggers of the standard library that also take fields: `get_logger(__name__).info("car created", car_id=car.id)`."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from types import TracebackType
from typing import Any, Protocol, Self, cast

from opentelemetry import context as otel_context

from dashcam.record.context import recorder
from dashcam.record.context.current import attach, detach
from dashcam.record.logs.line import CONTEXT_FIELDS, encode_call, error_of, is_true
from dashcam.record.values.interruption import is_interruption, trace_of
from dashcam.record.values.sanitizer import MAX_NAME_BYTES, Sanitizer, exact_text
from dashcam.spool.line import encode_suffix

try:
    from dashcam.record._speedups import LogCall as _StraightCall
except ImportError:  # there was no compiler to build it
    _StraightCall = None  # type: ignore[assignment, misc]

ExcInfo = bool | BaseException | tuple[type[BaseException], BaseException, TracebackType | None] | None
FIELDS = "_dashcam_fields"  # on a record of ours until it is recorded: all its fields, also those named like `name`

_time_ns = time.time_ns
_OWN_FRAMES = 2  # between the caller and `findCaller`: the log call, and `_emit`
_RECORD_ATTRIBUTES = frozenset({*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime"})
_OPTIONS = ("exc_info", "extra", "stack_info", "stacklevel")
_OFF, _RECORDED, _HANDED_ON = range(3)


class LogCall(Protocol):
    """A log call: `%`-arguments and options as in `logging`, and any fields besides.

    Never raises. Values of any kind are accepted. Arguments that do not fit the message are recorded with it.
    """

    def __call__(
        self,
        message: object = "",
        /,
        *args: object,
        exc_info: ExcInfo = None,
        stack_info: bool = False,
        stacklevel: int = 1,
        extra: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> None: ...


def sanitized_name(logger: str) -> str:
    """Return a logger's name as its events show it."""
    return Sanitizer().text(logger, MAX_NAME_BYTES)


def line_suffix(logger: str) -> bytes:
    """Return the bytes that end each line of a logger."""
    return encode_suffix(sanitized_name(logger))


def level_name(level: int) -> str:
    """Return the `log.level` of a numeric level: the next lower standard one for a custom level."""
    names = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
    return names[max(10, min(50, level // 10 * 10))]


def message_of(message: object, args: Any) -> object:
    """Return a message with its `%`-arguments; both, if they do not fit together.

    >>> message_of("%d cars", ("seven",))
    ('%d cars', ('seven',))
    """
    try:
        if not args:
            return message
        is_named = isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], Mapping) and args[0]
        return str(message) % (args[0] if is_named else args)
    except BaseException as error:  # arguments that do not fit are no reason to lose them
        if is_interruption(error):
            raise
        return message, args


def spool_call(level: int, logger: str) -> Callable[..., None]:
    """Return a log call that only records: for what another program prints already."""
    name, suffix = level_name(level), line_suffix(logger)

    def call(message: object, /, **fields: Any) -> None:
        active = recorder.current()
        if level < active.min_level:
            return
        try:
            active.append(encode_call(_time_ns(), name, message, fields, suffix))
        except Exception:  # noqa: BLE001 — a log call never fails its caller
            recorder.give_up()

    return call


def record_event(logger: str, level: int, message: object, fields: dict[str, Any], time_ns: int | None = None) -> None:
    """Record what another library's logger says, from the level of `LOG_LEVEL` or `LOG_LEVELS` on; never raises."""
    active = recorder.current()
    if level < active.level_of(logger):
        return
    try:
        at_ns = _time_ns() if time_ns is None else time_ns
        active.append(encode_call(at_ns, level_name(level), message, fields, _suffix_of(logger)))
    except Exception:  # noqa: BLE001 — a log call never fails its caller
        recorder.give_up()


_suffix_of = lru_cache(256)(line_suffix)


def _make_call(logger: "Logger", level: int) -> LogCall:
    name, suffix, bound, loggers = level_name(level), line_suffix(logger.name), logger.bound, logger.loggers
    key, verdicts = f"dashcam {level}", logger.verdicts

    def call(message: object = "", /, *args: object, **fields: Any) -> None:
        if (verdict := verdicts.get(key)) is None:
            verdict = verdicts[key] = logger.verdict_on(level)
        if verdict == _OFF:
            return
        active = recorder.current()
        is_plain = not (args or bound or "extra" in fields or "stack_info" in fields or "stacklevel" in fields)
        if is_plain and active.console is None and level >= active.min_level:
            for each in loggers:
                if each.handlers:
                    break
            else:
                try:
                    active.append(encode_call(_time_ns(), name, message, fields, suffix))
                except Exception:  # noqa: BLE001 — a log call never fails its caller
                    recorder.give_up()
                return
        logger._emit(level, message, args, fields)  # noqa: SLF001 — the two are one

    if _StraightCall is None or not bound.keys().isdisjoint(_OPTIONS):
        return cast("LogCall", call)
    return cast("LogCall", _StraightCall(call, level, name, suffix, verdicts, key, loggers, _OFF, dict(bound)))


class Logger(logging.Logger):
    """A `logging.Logger` whose log calls accept fields: each one becomes a label of the event.

    Level, handlers, filters and `propagate` are those of `logging.getLogger(name)`. If neither it nor a parent logger
    has a level, `LOG_LEVEL` determines what is recorded, and the root logger's level determines what handlers get.

    >>> log = get_logger("cars").bind(car_id=7)
    >>> log.info("%d wheels", 4, colour="red")
    """

    debug: LogCall  # type: ignore[assignment]
    info: LogCall  # type: ignore[assignment]
    warning: LogCall  # type: ignore[assignment]
    warn: LogCall  # type: ignore[assignment]
    error: LogCall  # type: ignore[assignment]
    critical: LogCall  # type: ignore[assignment]
    fatal: LogCall  # type: ignore[assignment]
    bound: Mapping[str, Any]
    loggers: tuple[logging.Logger, ...]
    verdicts: dict[Any, Any]

    def __new__(cls, name: str, bound: Mapping[str, Any] | None = None) -> Self:  # noqa: ARG004 — that of `__init__`
        """Return one, or a plain logger to `logging` when that makes what one stands for (`setLoggerClass`)."""
        if getattr(_making, "name", None) == name:
            return cast("Self", logging.Logger(name))  # noqa: LOG001 — `logging` registers it
        return super().__new__(cls)

    def __init__(self, name: str, bound: Mapping[str, Any] | None = None) -> None:
        # Not the parent's: all that it sets is the state of the logger in `logging`.
        own = self.__dict__
        own["name"] = name
        own["bound"] = bound or {}
        own["loggers"] = tuple(_loggers_up(name))
        # `logging` empties its cache of levels whenever one changes; without the cache every call looks.
        known = getattr(own["loggers"][0], "_cache", None)
        own["verdicts"] = _Forgetful() if known is None else known
        for level, names in _NAMES.items():
            own |= dict.fromkeys(names, _make_call(self, level))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["loggers"][0], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.loggers[0], name, value)

    def __repr__(self) -> str:
        return f"<Logger {self.name}>"

    def __reduce__(self) -> tuple[Callable[..., "Logger"], tuple[Any, ...]]:
        return Logger, (self.name, self.bound)

    def bind(self, **fields: Any) -> Self:
        """Return this logger with fields that each of its calls adds."""
        return type(self)(self.name, {**self.bound, **fields})

    def exception(  # type: ignore[override]
        self, message: object = "", /, *args: object, exc_info: ExcInfo = True, **fields: Any
    ) -> None:
        """Record an error with the current exception."""
        if self.isEnabledFor(logging.ERROR):
            self._emit(logging.ERROR, message, args, fields | {"exc_info": exc_info})

    def log(self, level: int, message: object = "", /, *args: object, **fields: Any) -> None:  # type: ignore[override]
        """Record at a level: a number, or a name such as "INFO"."""
        known = (
            level if isinstance(level, int) else logging.getLevelNamesMapping().get(str(level).upper(), logging.INFO)
        )
        if self.isEnabledFor(known):
            self._emit(known, message, args, fields)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 — the name is the standard library's
        """Return true if calls of this level are recorded or passed to handlers."""
        verdict = self.verdict_on(level)
        return verdict == _HANDED_ON or (verdict == _RECORDED and level >= recorder.current().level_of(self.name))

    def getEffectiveLevel(self) -> int:  # noqa: N802 — the name is the standard library's
        """Return the lowest level at which calls are recorded or passed to handlers."""
        root_level = self.root.level
        return self._named_level() or min(root_level, recorder.current().level_of(self.name))

    def getChild(self, suffix: str) -> "Logger":  # noqa: N802 — the name is the standard library's
        """Return the child logger with this suffix, with the same bound fields."""
        return get_logger(suffix if self.name in {"", "root"} else f"{self.name}.{suffix}").bind(**self.bound)

    def verdict_on(self, level: int) -> int:
        """Return what `logging` does with a level: nothing, record it, or record it and pass it to handlers."""
        named = self._named_level()
        if level <= self.manager.disable or level < named:
            return _OFF
        active = recorder.current()
        if active.levels and level < active.level_of(self.name):
            return _HANDED_ON if any(each.handlers for each in self.loggers) else _OFF
        return _HANDED_ON if named or level >= self.root.level else _RECORDED

    def _named_level(self) -> int:
        """Return the level of the nearest logger that has one, the root logger aside; else 0."""
        return next((each.level for each in self.loggers if each.level and each is not self.root), 0)

    def _emit(self, level: int, message: object, args: tuple[object, ...], fields: dict[str, Any]) -> None:
        """Record a call that has arguments, options or listeners, and hand it to handlers and console."""
        options = {name: fields.pop(name) for name in _OPTIONS if name in fields}
        stacklevel: Any = options.get("stacklevel")
        fields = {**self.bound, **_extra_of(options.get("extra")), **fields}
        stacklevel = (int.__pos__(stacklevel) if issubclass(type(stacklevel), int) else 1) + _OWN_FRAMES
        path, line, function, stack = self.findCaller(is_true(options.get("stack_info")), stacklevel)
        error = error_of(options.get("exc_info"))
        exc_info = None if error is None else (type(error), error, trace_of(error))
        whole = message_of(message, args)
        if type(whole) is not str:  # a handler may raise for what has no text, or for arguments that do not fit
            whole, args = Sanitizer().text(whole), ()
            message = whole
        if self.verdict_on(level) == _RECORDED or self.disabled:
            fields |= {"exc_info": exc_info, "stack_info": stack}
            spool_call(level, self.name)(whole, **fields)
            return
        record = self.makeRecord(self.name, level, path, line, message, args, exc_info, function, None, stack)
        names = {f"{name}_" if name in _RECORD_ATTRIBUTES else name: fields[name] for name in fields}
        record.__dict__.update(names, **{FIELDS: fields})
        self.handle(record)


def _extra_of(extra: object) -> dict[str, Any]:
    """Return the fields of an `extra`; none where it is no mapping, or fails."""
    try:
        return {exact_text(name): value for name, value in dict(cast("Any", extra)).items()} if extra else {}
    except BaseException as fault:  # a caller's mapping can raise anything
        if is_interruption(fault):
            raise
        return {}


class _Forgetful(dict[Any, Any]):
    """A cache that keeps nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Discard the value."""


_NAMES = {
    logging.DEBUG: ("debug",),
    logging.INFO: ("info",),
    logging.WARNING: ("warning", "warn"),
    logging.ERROR: ("error",),
    logging.CRITICAL: ("critical", "fatal"),
}


def _loggers_up(name: str) -> Iterator[logging.Logger]:
    """Yield the logger of a name and those above it; all are made, so that none comes between them later."""
    if name:
        yield _state_of(name)
    while name := name.rpartition(".")[0]:
        yield logging.getLogger(name)
    yield logging.getLogger()


_making = threading.local()  # the name whose state `logging` is asked for


def _state_of(name: str) -> logging.Logger:
    before, _making.name = getattr(_making, "name", None), name
    try:
        return logging.getLogger(name)
    finally:
        _making.name = before


@cache
def get_logger(name: str = "") -> Logger:
    """Return the `Logger` with this name, whose log calls accept fields.

    >>> get_logger("cars.api").info("car created", car_id=7)
    """
    logging.getLogger(name)  # is made first: it may be one of ours, by `setLoggerClass`
    return Logger(name)


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Add labels to every log call inside the block, of any logger, also in its tasks, threads and callbacks.

    >>> with context(tenant="acme"):
    ...     get_logger("cars").info("car created")
    """
    known = cast("Mapping[str, Any]", otel_context.get_value(CONTEXT_FIELDS) or {})
    token = attach(otel_context.set_value(CONTEXT_FIELDS, {**known, **fields}))
    try:
        yield
    finally:
        detach(token)
