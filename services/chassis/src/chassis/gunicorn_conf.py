"""The settings that serve the services: `gunicorn -c python:chassis.gunicorn_conf 'cars.app:create_app()'`.

gunicorn itself reads `PORT` and `WEB_CONCURRENCY` from the environment.
"""

import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

import dashcam
from chassis.settings import SettingsError

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

worker_class = "chassis.worker.BufferingWorker"  # a slow client costs no thread
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)  # one goes on while the other is started again
threads = 8  # a request mostly waits, for PostgreSQL or for parts
worker_connections = 500  # clients at once and worker; each may hold 64 KiB of a request that arrives
forwarder_headers = ""  # no proxy of ours sets SCRIPT_NAME or PATH_INFO, so whoever sends one is a stranger
keepalive = 75  # seconds; longer than a caller's pool keeps a connection
timeout = 30  # seconds; three times a request's deadline: whoever takes longer hangs
graceful_timeout = 20
control_socket_disable = True  # it would be a file in the home folder, shared by all services of a machine

# gunicorn's own log on standard error, as the same events that the services record.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"ecs": {"()": "dashcam.EcsFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ecs"}},
    "loggers": {
        "gunicorn.error": {"handlers": ["stderr"], "level": "INFO", "propagate": True},
        "gunicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},  # a request's span is its line
    },
    "root": {"handlers": [], "level": "WARNING"},
}


def on_starting(server: "Arbiter") -> None:
    """Record the master too, and end with one clear message where the workers would each fail with a traceback."""
    service = server.app.app_uri.partition(".")[0]
    try:
        import_module(f"{service}.settings").Settings.load()
    except SettingsError as fault:
        print(fault, file=sys.stderr)  # noqa: T201
        sys.exit(2)
    dashcam.init(service, version=version(service))
