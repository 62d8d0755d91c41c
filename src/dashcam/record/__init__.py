"""Turns log calls and finished spans into lines of the spool, on the calling thread."""

from dashcam.record import brought as brought  # first: it looks at what is there before us
from dashcam.record import otel_variables

otel_variables.leave_out()  # before anything here imports OpenTelemetry
