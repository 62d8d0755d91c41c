"""OpenTelemetry's variables with a value that it would raise for, when it is imported or at the first request."""

import os
import re
from collections.abc import Mapping
from importlib.metadata import entry_points

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

_left_out: list[str] = []


def leave_out() -> None:
    """Take what OpenTelemetry would raise for out of the environment: no variable stops a service."""
    faults = faults_of(os.environ)
    for name, fault in faults.items():
        _left_out.append(f"{name}={os.environ.pop(name)!r} cannot be used: {fault}. OpenTelemetry goes on without it.")


def left_out() -> list[str]:
    """Return a sentence for each variable that was left out."""
    return _left_out


def faults_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with each of OpenTelemetry's variables that cannot be used.

    >>> faults_of({"OTEL_SPAN_EVENT_COUNT_LIMIT": "many", "OTEL_PROPAGATORS": "tracecontext"})
    {'OTEL_SPAN_EVENT_COUNT_LIMIT': 'it takes a number from 0 on'}
    """
    given = {name: value for name, value in environment.items() if name.startswith("OTEL_")}
    return {name: fault for name, value in sorted(given.items()) if (fault := _fault_of(name, value))}


def _fault_of(name: str, value: str) -> str:
    words = [word.strip() for word in value.split(",")]
    if group := _PLUGINS.get(name):
        missing = [each for each in words if each not in _COMES_WITH_IT and not entry_points(group=group, name=each)]
        return f"no package here has {', '.join(missing)}" if missing else ""
    if _LISTS_OF_PATTERNS.fullmatch(name):
        try:
            re.compile("|".join(words))
        except re.error as error:
            return f"it takes regular expressions, and this is not one: {error}"
    if _LIMITS.fullmatch(name) and value.strip() and not value.strip().isdecimal():
        return "it takes a number from 0 on"
    return ""
