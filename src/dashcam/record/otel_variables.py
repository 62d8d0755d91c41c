"""OpenTelemetry's variables with a value that it would raise for, when it is imported or at the first request."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import wrapt

_PLUGINS = {
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "opentelemetry_resource_detector",
    "OTEL_PROPAGATORS": "opentelemetry_propagator",
    "OTEL_PYTHON_CONTEXT": "opentelemetry_context",
    "OTEL_PYTHON_LOGGER_PROVIDER": "opentelemetry_logger_provider",
    "OTEL_PYTHON_METER_PROVIDER": "opentelemetry_meter_provider",
    "OTEL_PYTHON_TRACER_PROVIDER": "opentelemetry_tracer_provider",
}
_COMES_WITH_IT = {"", "*", "baggage", "none", "tracecontext"}
_LISTS_OF_PATTERNS = re.compile(r"OTEL_\w+_EXCLUDED_URLS|OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_\w+")
_LIMITS = re.compile(r"OTEL_\w+_LIMIT")

# They read variables with `from os import environ`: some at once, some with each request.
_READERS = ("context", "propagate", "metrics", "trace", "sdk.resources", "sdk.trace", "util.http")

_left_out: list[str] = []


class _Usable(wrapt.ObjectProxy):  # type: ignore[type-arg]  # wrapt 1 has no argument
    """The environment, in which a look for a variable that cannot be used finds nothing."""

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None

    def get(self, name: Any, default: Any = None) -> Any:
        """Return the value of a variable that can be used."""
        value = self.__wrapped__.get(name)
        is_unusable = value is not None and name.startswith("OTEL_") and _fault_of(name, value)
        return default if value is None or is_unusable else value


def leave_out() -> None:
    """Hide from OpenTelemetry, and from nobody else, what it would raise for: no variable stops a service."""
    for name, fault in faults_of(os.environ).items():
        _left_out.append(f"{name}={os.environ[name]!r} cannot be used: {fault}. OpenTelemetry does not see it.")
    with hidden():
        if _left_out:
            for reader in _READERS:
                with suppress(ModuleNotFoundError):
                    import_module(f"opentelemetry.{reader}")


@contextmanager
def hidden() -> Iterator[None]:
    """Hide them within from what reads `os.environ` itself, and from then on from what is imported by then."""
    if not _left_out:
        yield
        return
    environment = os.environ
    usable: Any = environment if isinstance(environment, _Usable) else _Usable(environment)
    os.environ = usable  # noqa: B003 — nothing is taken out of it: child processes see what they would without us
    try:
        yield
    finally:
        os.environ = environment  # noqa: B003
    for name, module in list(sys.modules.items()):
        if name.startswith("opentelemetry.") and vars(module).get("environ") is environment:
            vars(module)["environ"] = usable


def left_out() -> list[str]:
    """Return a sentence for each variable that was left out."""
    return _left_out


def faults_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with each of OpenTelemetry's variables that cannot be used.

    >>> faults_of({"OTEL_SPAN_EVENT_COUNT_LIMIT": "many", "OTEL_PROPAGATORS": "tracecontext"})
    {'OTEL_SPAN_EVENT_COUNT_LIMIT': 'expected a number from 0 on'}
    """
    given = {name: value for name, value in environment.items() if name.startswith("OTEL_")}
    return {name: fault for name, value in sorted(given.items()) if (fault := _fault_of(name, value))}


@lru_cache
def _fault_of(name: str, value: str) -> str:
    words = [word.strip() for word in value.split(",")]
    if group := _PLUGINS.get(name):
        missing = [each for each in words if each not in _COMES_WITH_IT and not entry_points(group=group, name=each)]
        return f"no installed package provides {', '.join(missing)}" if missing else ""
    if _LISTS_OF_PATTERNS.fullmatch(name):
        try:
            re.compile("|".join(words))
        except re.error as error:
            return f"expected regular expressions: {error}"
    if _LIMITS.fullmatch(name) and value.strip() and not value.strip().isdecimal():
        return "expected a number from 0 on"
    return ""
