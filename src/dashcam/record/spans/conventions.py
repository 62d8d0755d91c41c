"""The attribute names of OpenTelemetry's semantic conventions that a process uses: the stable ones by default."""

import os
from typing import Any

from opentelemetry.instrumentation._semconv import (
    OTEL_SEMCONV_STABILITY_OPT_IN,
    _OpenTelemetrySemanticConventionStability,
    _OpenTelemetryStabilitySignalType,
)


def prefer_stable_conventions() -> None:
    """Have OpenTelemetry's packages use the stable attribute names, unless the environment says otherwise."""
    if OTEL_SEMCONV_STABILITY_OPT_IN not in os.environ:
        os.environ[OTEL_SEMCONV_STABILITY_OPT_IN] = "http,database"
        try:
            http_conventions()  # the packages read the variable once
        finally:
            del os.environ[OTEL_SEMCONV_STABILITY_OPT_IN]


def http_conventions() -> Any:
    """Return which of OpenTelemetry's attribute names for HTTP are in use: its instrumentation packages ask for it."""
    _OpenTelemetrySemanticConventionStability._initialize()  # type: ignore[no-untyped-call]  # noqa: SLF001
    signal = _OpenTelemetryStabilitySignalType.HTTP
    return _OpenTelemetrySemanticConventionStability._get_opentelemetry_stability_opt_in_mode(signal)  # noqa: SLF001
