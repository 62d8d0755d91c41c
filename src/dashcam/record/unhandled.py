"""Exceptions that nobody handled: each is recorded once, though frameworks, servers and hooks all report it."""

import sys
import threading
from types import TracebackType

from opentelemetry.context import Context, attach, detach

from dashcam.record.logger import LogCall, get_logger

_MARK = "_is_recorded_by_dashcam"
_is_hooked = False
_log = get_logger("dashcam.unhandled")


def is_recorded(error: BaseException | None) -> bool:
    """Return true if this exception was recorded as one that nobody handled."""
    return error is not None and _MARK in error.__dict__


def record(error: BaseException, message: str = "unhandled exception", call: LogCall = _log.error) -> None:
    """Record an exception that nobody handled, unless it was before."""
    if not is_recorded(error):
        call(message, exc_info=error)
        error.__dict__[_MARK] = True  # not `setattr`, which an exception class may forbid


def hook() -> None:
    """Record what ends the process or a thread, then let the hook that was there before say so too."""
    global _is_hooked
    if _is_hooked:
        return
    _is_hooked = True
    former, former_threading = sys.excepthook, threading.excepthook

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, KeyboardInterrupt):
            record(error, call=_log.critical)
        former(kind, error, trace)

    def on_thread_exception(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            # Where opentelemetry-instrumentation-threading keeps the context that the thread was started in.
            context: Context | None = getattr(args.thread, "_otel_context", None)
            token = attach(context or Context())
            record(args.exc_value, "unhandled exception in a thread")
            detach(token)
        former_threading(args)

    sys.excepthook, threading.excepthook = on_exception, on_thread_exception
