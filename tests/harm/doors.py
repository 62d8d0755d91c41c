"""The doors through which a program's values reach Dashcam; each event has the number of its call as the label `n`.

A door gets a value and a number, and records one event. What Python itself does with a value before Dashcam has it, as
`logging` does with a single argument, is left out: an exception of that is not Dashcam's.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import dashcam
from dashcam.record.context import recorder
from dashcam.record.logs.stdlib import record_log

log = dashcam.get_logger("harm")
plain = logging.getLogger("harm.plain")


class Failure(Exception):
    """An exception that has a value."""


def _as_error(value: Any) -> BaseException:
    return value if issubclass(type(value), Exception) else Failure(value)


@contextmanager
def _expected(raised: BaseException) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if error is not raised:
            raise


def field(value: Any, n: str) -> None:
    log.info("tried", n=n, value=value)


def message(value: Any, n: str) -> None:
    log.info(value, n=n)


def argument(value: Any, n: str) -> None:
    log.info("tried %s", value, n=n)


def arguments(value: Any, n: str) -> None:
    log.info(value, value, 1, n=n)


def named_argument(value: Any, n: str) -> None:
    log.info("tried %(value)s", {"value": value}, n=n)


def extra(value: Any, n: str) -> None:
    log.info("tried", extra={"n": n, "value": value})


def as_extra(value: Any, n: str) -> None:
    log.bind(n=n).info("tried", extra=value)


def bound(value: Any, n: str) -> None:
    log.bind(n=n, value=value).info("tried")


def error(value: Any, n: str) -> None:
    log.info("tried", n=n, exc_info=_as_error(value))


def as_error(value: Any, n: str) -> None:
    log.info("tried", n=n, exc_info=value)


def as_options(value: Any, n: str) -> None:
    log.info("tried", n=n, stack_info=value, stacklevel=value)


def logging_extra(value: Any, n: str) -> None:
    plain.info("tried", extra={"n": n, "value": value})


def logging_message(value: Any, n: str) -> None:
    plain.info(value, extra={"n": n})


def logging_argument(value: Any, n: str) -> None:
    plain.info("tried %s %d", value, 1, extra={"n": n})


def logging_error(value: Any, n: str) -> None:
    plain.info("tried", exc_info=(Failure, _as_error(value), None), extra={"n": n})


def record(value: Any, n: str) -> None:
    made = logging.makeLogRecord({"name": "harm", "levelno": logging.INFO, "n": n, "msg": value, "args": (value,)})
    record_log(made, recorder.current())


def odd_record(value: Any, n: str) -> None:
    made = logging.makeLogRecord({"name": "harm", "levelno": logging.INFO, "n": n, "msg": "tried"})
    made.args = made.created = made.exc_info = made.stack_info = value
    record_log(made, recorder.current())


def context(value: Any, n: str) -> None:
    with dashcam.context(n=n, value=value):
        log.info("tried")


def span(value: Any, n: str) -> None:
    with dashcam.span("tried", n=n, value=value):
        pass


def span_name(value: Any, n: str) -> None:
    with dashcam.span(value, n=n):
        pass


def failed_span(value: Any, n: str) -> None:
    raised = _as_error(value)
    with _expected(raised), dashcam.span("tried", n=n):
        raise raised


def job(value: Any, n: str) -> None:
    with dashcam.job("tried", n=n, value=value):
        pass


def headers(value: Any, n: str) -> None:
    with dashcam.job("tried", {"X-Request-ID": value, "traceparent": value}, n=n):
        pass


def failed_job(value: Any, n: str) -> None:
    raised = _as_error(value)
    with _expected(raised), dashcam.job("tried", n=n):
        raise raised


def add(value: Any, n: str) -> None:
    with dashcam.job("tried", n=n):
        dashcam.add(value=value)


def structlog(value: Any, n: str) -> None:
    dashcam.structlog_processor(None, "info", {"event": "tried", "n": n, "value": value})


Door = Callable[[Any, str], None]

DOORS: Final[dict[str, Door]] = {
    each.__name__: each
    for each in (
        *(field, message, argument, arguments, named_argument, extra, as_extra, bound, error, as_error, as_options),
        *(logging_extra, logging_message, logging_argument, logging_error, record, odd_record),
        *(context, span, span_name, failed_span, job, headers, failed_job, add, structlog),
    )
}
OF_TEXT: Final = frozenset(
    {"message", "argument", "arguments", "named_argument", "error", "logging_message", "logging_argument"}
    | {"logging_error", "record", "odd_record", "span_name", "failed_span", "failed_job"}
)
"""Doors at which the program asks for the text of a value, which may never end."""
