"""Spans of OpenTelemetry become lines."""
