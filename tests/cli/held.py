"""Requests whose lines below INFO are held."""

from contextlib import closing

from dashcam.destinations.registry import open_store
from dashcam.find.language import parse
from dashcam.find.query import Query

from ..processes import run

SERVICE = """
import sys
from flask import Flask
import dashcam

app = Flask(sys.argv[1])
dashcam.init_app(app)
log = dashcam.get_logger(sys.argv[1])


@app.get("/<int:status>")
def answer(status):
    for step in range(5):
        log.debug("step %d", step, car_id=7)
    log.info("answered")
    return "", status


for name, status in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    app.test_client().get(f"/{status}", headers={"X-Request-ID": name})
"""

HOLDING = {"DASHCAM_SHIP_LEVEL": "INFO", "LOG_BACKEND": "local"}


def serve(folder, service, *requests):
    """Have a service answer requests: an ID and a status each."""
    environment = {"DASHCAM_DIR": str(folder), "LOG_LEVEL": "DEBUG", "DASHCAM_CONSOLE": "off"}
    run(SERVICE, service, *requests, env=environment)


def found(folder, query, monkeypatch):
    """The events of the local store."""
    monkeypatch.setenv("DASHCAM_DIR", str(folder))
    with closing(open_store("local")) as store:
        return list(store.find(Query(parse(query))))
