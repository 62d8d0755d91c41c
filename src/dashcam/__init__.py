"""Follow one request through every service: structured logs and spans, never lost, found again in any backend."""
