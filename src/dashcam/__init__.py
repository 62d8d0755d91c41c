"""Record what services do with each request, and show it as one story: structured logs and spans.

In a service, call `init_app(app)` for Flask, FastAPI and Starlette, or `wsgi(app)` or `asgi(app)` for other
applications. In any other process, call `init()`, and put its work into `job(name)`. Then use `get_logger(__name__)`
and `add()`.
"""

from typing import TYPE_CHECKING, Any

from dashcam.version import __version__

if TYPE_CHECKING:
    from dashcam.record.context.correlation import request_id
    from dashcam.record.context.headers import headers
    from dashcam.record.jobs import job, span
    from dashcam.record.logs.console import EcsFormatter
    from dashcam.record.logs.keep import keep
    from dashcam.record.logs.logger import Logger, context, get_logger
    from dashcam.record.logs.loguru import loguru_handler
    from dashcam.record.logs.structlog import structlog_processor
    from dashcam.record.setup import add, asgi, init, init_app, wsgi

__all__ = [
    "EcsFormatter",
    "Logger",
    "__version__",
    "add",
    "asgi",
    "context",
    "get_logger",
    "headers",
    "init",
    "init_app",
    "job",
    "keep",
    "loguru_handler",
    "request_id",
    "span",
    "structlog_processor",
    "wsgi",
]

_HOMES = {
    "EcsFormatter": "logs.console",
    "Logger": "logs.logger",
    "add": "setup",
    "asgi": "setup",
    "context": "logs.logger",
    "get_logger": "logs.logger",
    "headers": "context.headers",
    "init": "setup",
    "init_app": "setup",
    "job": "jobs",
    "keep": "logs.keep",
    "loguru_handler": "logs.loguru",
    "request_id": "context.correlation",
    "span": "jobs",
    "structlog_processor": "logs.structlog",
    "wsgi": "setup",
}


def __getattr__(name: str) -> Any:
    # Late, so that the command line, which records nothing, starts without OpenTelemetry.
    if name not in _HOMES:
        raise AttributeError(f"module 'dashcam' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"dashcam.record.{_HOMES[name]}"), name)
