"""Lines of requests with DEBUG among them, and routes that hold those."""

import threading
from contextlib import contextmanager

from dashcam.settings import Settings, load
from dashcam.ship.clips.collector import ClipCollector
from dashcam.ship.route import Route
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile

from ...spool.spools import START_NS

_IDS = ',"http":{"request":{"id":"%s"}},"trace":{"id":"ab"},"span":{"id":"cd"},"transaction":{"id":"cd"}'


def call_line(number, level="debug", request="", message=""):
    """The line of a log call, within a request or outside of any."""
    ids = _IDS % request if request else ""
    text = '{"time_ns":%d,"log.level":"%s","message":"%s"%s,"log":{"logger":"cars"},"event":{"kind":"event"}}\n'
    return (text % (START_NS + number * 1000, level, message or number, ids)).encode()


def served_line(number, request, status=200, duration_ns=1_000_000, name="POST /cars"):
    """The line of a server span that ended."""
    level = "error" if status >= 500 else "info"
    text = (
        '{"time_ns":%d,"processor":{"event":"transaction"},"log.level":"%s","message":"%s","span":{"id":"cd"},'
        '"trace":{"id":"ab"},"transaction":{"id":"cd","name":"%s"},"http":{"request":{"id":"%s"},'
        '"response":{"status_code":%d}},"event":{"kind":"event","duration":%d}}\n'
    )
    return (text % (START_NS + number * 1000, level, name, name, request, status, duration_ns)).encode()


def settings_of(folder, **changes):
    """The settings of a shipper that holds DEBUG."""
    given = {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "played", "DASHCAM_SHIP_LEVEL": "INFO"} | changes
    return load(Settings, given)


@contextmanager
def holding_route(folder, backend, stopping=None, **changes):
    """A route that holds lines."""
    settings = settings_of(folder, **changes)
    known = checkpoint.load(folder / "positions").get("played", Checkpoint())
    file = CheckpointFile(folder / "positions", "played", known)
    file.rewrite()
    clips = ClipCollector(settings, file)
    clips.open()
    stopping = stopping or threading.Event()
    try:
        yield Route("played", backend, folder, file, stopping, clips=clips)
    finally:
        stopping.set()
        file.close()


def drain(folder, backend, **changes):
    """Ship what there is through a route that holds lines."""
    with holding_route(folder, backend, **changes) as route:
        route.run(is_drain=True)
