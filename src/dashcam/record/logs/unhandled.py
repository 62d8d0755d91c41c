"""Exceptions that nobody handled: each is recorded once, though frameworks, servers and hooks all report it."""

import atexit
import logging
import re
import sys
import threading
from collections.abc import Callable
from inspect import getfile
from types import TracebackType
from typing import Any

from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from dashcam.record.context.correlation import current_transaction
from dashcam.record.logs.line import LOGGED, attributes_of
from dashcam.record.logs.logger import spool_call

_CARRIER = getfile(ThreadingInstrumentor)
_MARK = "_is_recorded_by_dashcam"
_FUNCTION = re.compile(r"<function (.*?) at 0x[0-9a-f]+>| at 0x[0-9a-f]+")
# Where the trace of what ends a program begins; not that of what a debugger is to look at, which has this name, too.
_ENDS = {("__main__", "<module>"), ("runpy", "_run_module_as_main")}
_is_hooked = False
# Only recorded: the framework, or Python itself, prints it.
_error = spool_call(logging.ERROR, "dashcam.unhandled")
_critical = spool_call(logging.CRITICAL, "dashcam.unhandled")


def is_recorded(error: Any) -> bool:
    """Return true if this is an exception that was recorded as one that nobody handled."""
    return issubclass(type(error), BaseException) and _MARK in attributes_of(error)


def record(error: Any, message: str = "unhandled exception", call: Callable[..., None] = _error) -> None:
    """Record an exception that nobody handled, unless it was before; never raises.

    Some report only its class: then it is the exception that is being handled, if there is one. Some raise one and the
    same exception in several requests: it is recorded in each.
    """
    if issubclass(type(error), type):
        error = sys.exception() or error
    known = attributes_of(error) if issubclass(type(error), BaseException) else {}
    transaction = current_transaction()
    if _MARK not in known or transaction not in {"", known[_MARK]}:
        call(message, exc_info=error)
        known[_MARK] = transaction  # not `setattr`, which an exception class may forbid


def hook() -> None:
    """Record what ends the process or a thread, or ends in no caller, then let the hook that was there say so too."""
    global _is_hooked
    if _is_hooked:
        return
    _is_hooked = True
    former, former_threading, former_unraisable = sys.excepthook, threading.excepthook, sys.unraisablehook

    def on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(type(error), KeyboardInterrupt):
            record(error, call=_critical)
        former(kind, error, trace)

    def on_thread_exception(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            record(args.exc_value, "unhandled exception in a thread")
        _leave_out_frame(args.exc_traceback)
        former_threading(args)

    def on_unraisable(args: "sys.UnraisableHookArgs") -> None:
        if args.exc_value is not None:
            record(args.exc_value, _ignored_where(args))
        former_unraisable(args)

    sys.excepthook, threading.excepthook, sys.unraisablehook = on_exception, on_thread_exception, on_unraisable
    atexit.register(_record_end_of_program)


def _record_end_of_program() -> None:
    """Record what ended the program if it set a hook of its own after ours, such as that of rich or Typer."""
    error: Any = getattr(sys, "last_value", None)  # what Python was about to hand to the hook
    if issubclass(type(error), BaseException) and not issubclass(type(error), KeyboardInterrupt):
        frame = error.__traceback__ and error.__traceback__.tb_frame
        outermost = frame and (frame.f_globals.get("__name__"), frame.f_code.co_name)
        if outermost in _ENDS and LOGGED not in attributes_of(error):
            record(error, call=_critical)


def _ignored_where(args: "sys.UnraisableHookArgs") -> str:
    if args.object is None:  # since Python 3.13 the message names most of them, with an address that no other has
        return _FUNCTION.sub(r"\1", args.err_msg or "exception ignored")
    where = getattr(args.object, "__qualname__", None) or type(args.object).__qualname__
    return f"{args.err_msg or 'exception ignored in'} {where}"


def hook_cells(ipython: Any) -> None:
    """Record what ends a cell of IPython or a notebook, which shows it as before; `ipython` is the module."""
    if shell := ipython.get_ipython():
        shell.events.register("post_run_cell", _record_cell)


def _record_cell(result: Any) -> None:
    error = result.error_in_exec or result.error_before_exec
    if issubclass(type(error), Exception):
        record(error, "unhandled exception in a cell")


def hook_processes(util: Any) -> None:
    """Record what ends a process of `multiprocessing`, which prints it; `util` is the module."""

    def begin(_: object) -> None:
        util.Finalize(None, _record_end_of_process, exitpriority=0)

    begin(None)  # this may be a process that was spawned
    util.register_after_fork(hook_processes, begin)  # a forked one forgets the finalizers of its parent


def _record_end_of_process() -> None:
    error = sys.exception()  # finalizers run while it leaves the process
    if error is not None and not issubclass(type(error), SystemExit | KeyboardInterrupt):
        record(error, "unhandled exception in a process")


def hook_greenlets(hub: Any) -> None:
    """Record what ends a greenlet of gevent, whose hub prints it; `hub` is the module."""
    former = hub.Hub.handle_error

    def handle_error(self: Any, context: Any, kind: Any, error: Any, trace: Any) -> Any:
        if issubclass(type(error), BaseException) and not isinstance(error, self.NOT_ERROR):
            record(error, "unhandled exception in a greenlet")
        return former(self, context, kind, error, trace)

    hub.Hub.handle_error = handle_error


def _leave_out_frame(trace: TracebackType | None) -> None:
    """Take the frame that carries the context into a thread out of its stack trace, which Python prints."""
    while trace and (inner := trace.tb_next):
        if inner.tb_frame.f_code.co_filename == _CARRIER:
            trace.tb_next = inner.tb_next
        trace = trace.tb_next
