"""Stories of what is not a request, `with job("nightly import"):`, and parts of any story, `with span("parse"):`."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from dashcam import forks
from dashcam.codec import orjson
from dashcam.record.context import recorder
from dashcam.record.context.correlation import JOB, REQUEST_ID, new_request_id, open_spans
from dashcam.record.context.current import attach, detach, get_current
from dashcam.record.context.headers import extract
from dashcam.record.logs import unhandled
from dashcam.record.logs.line import is_true
from dashcam.record.setup import init
from dashcam.record.spans.span_line import TAGS
from dashcam.record.spans.tracer import get_tracer
from dashcam.record.values.interruption import is_interruption
from dashcam.record.values.sanitizer import MAX_NAME_BYTES, Sanitizer, class_name, exact_text
from dashcam.record.values.traces import describe

_P = ParamSpec("_P")
_R = TypeVar("_R")
_TRACER = "dashcam"


class Block:
    """A part of a program that is recorded as a span: a context manager, and a decorator of a function or coroutine.

    `job` and `span` return it. An exception that leaves it makes the span a failure, except `sys.exit(0)`,
    `Exit(0)` of click or Typer, and the end of a generator that nobody reads any more.
    """

    __slots__ = ("_arguments", "_pid", "_span", "_start", "_token")

    def __init__(self, start: Callable[..., tuple[Span, Context]], *arguments: Any) -> None:
        self._start = start
        self._arguments = arguments

    def __enter__(self) -> Self:
        forks.begin_child()  # its own IDs, also where it was forked in C
        self._span, context = self._start(*self._arguments)
        self._token = attach(context)
        self._pid = os.getpid()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None and os.getpid() != self._pid:  # a forked child ends; the block goes on in its parent
            if not issubclass(type(error), SystemExit):
                unhandled.record(error)
            detach(self._token)
            return
        try:
            if error is not None and not _is_success(error):
                _fail(self._span, error)
        except Exception:  # noqa: BLE001 — an error's own attributes can fail in any way, and it goes on as it is
            recorder.give_up()
        finally:
            detach(self._token)
            self._span.end()

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return the function with each of its calls recorded."""
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: put the `with` inside")
        if iscoroutinefunction(function):

            @wraps(function)
            async def recorded_coroutine(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with Block(self._start, *self._arguments):
                    return await function(*args, **kwargs)

            return cast("Callable[_P, _R]", recorded_coroutine)

        @wraps(function)
        def recorded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with Block(self._start, *self._arguments):
                return function(*args, **kwargs)

        return recorded


def job(name: str, headers: Mapping[str, str] | None = None, /, **fields: Any) -> Block:
    """Record a script, a cron job or a message of a queue as a story: a request ID, a root span, and all inside.

    With the `headers` of a message, which the sender got from `headers()`, the job continues the sender's story. Inside
    a request or another job, it is a part of that one. If the process does not record yet, `init()` is called.

        >>> with dashcam.job("nightly import", source="garage"):
        ...     dashcam.get_logger("import").info("3 cars read", rows=3)
    """
    return Block(_start_job, _name(name), headers, fields)


def span(name: str, /, **fields: Any) -> Block:
    """Record a part of a request or a job, with its duration.

    >>> with dashcam.span("parse", rows=3):
    ...     cars = [int(row) for row in ("7", "8", "9")]
    """
    return Block(_start_span, _name(name), fields)


def _name(name: object) -> str:
    return name if type(name) is str else Sanitizer().text(name, MAX_NAME_BYTES)


def _start_job(name: str, given: Mapping[str, str] | None, fields: dict[str, Any]) -> tuple[Span, Context]:
    if not recorder.running():
        init()
    context = get_current()
    if trace.get_current_span(context).get_span_context().span_id in open_spans:
        return _start_span(name, fields)
    context = extract(given or {}, context)
    context = Context({**context, REQUEST_ID: context.get(REQUEST_ID) or new_request_id()})
    attributes, others = _attributes(fields)
    span = get_tracer(_TRACER).start_span(name, Context({**context, JOB: True}), attributes=attributes)
    open_span = open_spans.get(span.get_span_context().span_id)
    if open_span and open_span.served:
        open_span.served.labels.update(others)
    return span, trace.set_span_in_context(span, context)


def _start_span(name: str, fields: dict[str, Any]) -> tuple[Span, Context]:
    attributes, others = _attributes(fields)
    sanitizer = Sanitizer()
    texts = {each: orjson.dumps(sanitizer.value(value)).decode() for each, value in others.items()}
    if sanitizer.tags:
        texts[TAGS] = ",".join(sanitizer.tags)
    span = get_tracer(_TRACER).start_span(name, attributes={**attributes, **texts})
    return span, trace.set_span_in_context(span)


def _attributes(fields: Mapping[str, Any]) -> tuple[dict[str, AttributeValue], dict[str, Any]]:
    """Part the fields into those that a span can have as attributes, and all others."""
    plain: dict[str, AttributeValue] = {}
    others = {}
    for name, value in fields.items():
        exact = next((exact for kind, exact in _SCALARS if issubclass(type(value), kind)), None)
        if exact is None or issubclass(type(value), Enum):
            others[name] = value
        else:
            plain[name] = exact(value)
    return plain, others


# The scalar that a value of a class is, whatever methods a subclass has.
_SCALARS: tuple[tuple[type, Callable[[Any], AttributeValue]], ...] = (
    (str, exact_text),
    (bool, bool),
    (int, int.__pos__),
    (float, float.__pos__),
)


def _is_success(error: BaseException) -> bool:
    kind = type(error)
    if class_name(error) == "Exit":  # of click, and of Typer, which has one of its own
        code = _code_of(error, "exit_code")
        return type(code) is int and code == 0
    return issubclass(kind, GeneratorExit) or (issubclass(kind, SystemExit) and not is_true(_code_of(error, "code")))


def _code_of(error: BaseException, name: str) -> object:
    """Return the code that an error ends the program with; the fault of an attribute that fails."""
    try:
        return getattr(error, name, None)
    except BaseException as fault:  # a class may have any attribute of that name
        if is_interruption(fault):
            raise
        return fault


def _fail(span: Span, error: BaseException) -> None:
    open_span = open_spans.get(span.get_span_context().span_id)
    is_job = open_span is not None and open_span.served is not None and open_span.transaction == open_span.span_id
    if is_job and open_span and open_span.served:
        open_span.served.error = error
        unhandled.record(error)
    span.set_attribute("error.type", exact_text(type.__dict__["__qualname__"].__get__(type(error))))
    span.set_status(Status(StatusCode.ERROR, describe(error)))
    with suppress(Exception):  # the SDK asks for the exception's text, and that may raise
        span.record_exception(error, escaped=True)
