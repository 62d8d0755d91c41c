"""A fixed spool, shipped by each destination and shown by each command: all of it stays what it was, byte for byte.

`WRITE_GOLDEN=1` writes the files anew: for a change that a user is to see, and that CHANGELOG.md names.
"""

import os
import time
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import msgpack
import orjson
import pytest

from dashcam import machine
from dashcam.cli import main
from dashcam.destinations import registry
from dashcam.destinations.local.backend import Bounds, Local
from dashcam.destinations.local.blocks import file as local_file
from dashcam.destinations.registry import load_settings, options
from dashcam.event import parse_time
from dashcam.ship.batch import PartialResult
from dashcam.ship.shipper import ship
from dashcam.testing.fake_loggly import StandIn

from ..destinations.fluentd.server import Orderly, Server
from ..scripted import scripted
from .recorded import write_spool

HERE = Path(__file__).parent
NOW_NS = parse_time("2026-11-23T08:30:00Z")
PERIOD = ["--since", "2026-11-23T08:00:00Z", "--until", "2026-11-23T08:30:00Z"]
SHOWN = {
    "trace-failed": ["trace", "req-0004"],
    "trace-aborted": ["trace", "req-0012"],
    "trace-json": ["trace", "--json", "req-0004"],
    "search": ["search", "level:error"],
    "search-words": ["search", "wheels"],
    "search-json": ["search", "--json", "service:parts status:503"],
    "status": ["status", "--full"],
    "status-json": ["status", "--full", "--json"],
    "overview": ["overview", *PERIOD],
    "overview-json": ["overview", "--json", *PERIOD],
    "errors": ["errors", *PERIOD],
    "errors-json": ["errors", "--json", *PERIOD],
    "clips": ["clips"],
    "clips-json": ["clips", "--json"],
    "audit": ["audit", *PERIOD],
    "audit-json": ["audit", "--json", *PERIOD],
}


class Strict:
    """A backend that never accepts the events of some car, whatever the one behind it would do."""

    def __init__(self, backend, word=b"wheels of car 9"):
        self._backend, self._word = backend, word
        self.limits, self.close = backend.limits, backend.close

    def ship(self, batch):
        """Hand over the others."""
        odd = {index: "too many wheels" for index, event in enumerate(batch) if self._word in event.data}
        assert not self._backend.ship([event for index, event in enumerate(batch) if index not in odd])
        return PartialResult(rejected=odd)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A folder with the fixed spool, at a fixed time; it gives a function that ships to a route's backend."""
    for name in os.environ:
        if name.startswith(("DASHCAM_", "LOG_", "LOGGLY_", "ELASTICSEARCH_", "FLUENTD_")):
            monkeypatch.delenv(name)
    for module in (machine, time):
        monkeypatch.setattr(module, "time_ns", lambda: NOW_NS)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DASHCAM_SHIP_LEVEL", "INFO")
    write_spool(tmp_path / "state" / "spool")

    def ship_to(route, connect, **environment):
        for name, value in {"LOG_BACKEND": route, **environment}.items():
            monkeypatch.setenv(name, value)
        assert not any(ship(load_settings(), connect, is_drain=True, audited={route}))
        seconds = NOW_NS / 1e9
        os.utime(tmp_path / "state" / "shipper.lock", (seconds, seconds))

    return SimpleNamespace(ship_to=ship_to, folder=tmp_path / "state")


def assert_golden(name, text):
    """Compare a text with its file."""
    path = HERE / name
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture
def shown(recorded, capsys):
    """A function that runs a command on what the local store has of the fixed spool; it gives the output."""

    def connect(_):
        given = options("local")
        return Strict(Local(local_file.path_of(given), Bounds.of(given), clock=lambda: NOW_NS))

    recorded.ship_to("local", connect)

    def shown(arguments):
        status = main(arguments)
        out, err = capsys.readouterr()
        return f"{out}{err}exit status {status}\n".replace(str(recorded.folder), "DIR")

    return shown


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_command_shows(shown, name):
    """A story, a search, a status and the others are what they were."""
    assert_golden(f"{name}.txt", shown(SHOWN[name]))


def test_what_is_shipped(recorded, capfdbinary):
    """Each event with its ID, its statement and its clip, in the order of IDs."""
    recorded.ship_to("stdout", registry.connect)

    lines = [line for line in capfdbinary.readouterr().out.splitlines() if line.startswith(b"{")]
    text = b"\n".join(sorted(lines, key=lambda line: orjson.loads(line)["event"]["id"]))
    assert_golden("shipped.jsonl", text.decode() + "\n")


def assert_sent(name, documents):
    """Compare what a destination got, in any order, with the digest of it; the file has the number, too."""
    digest = sha256(b"\n".join(sorted(documents))).hexdigest()
    assert_golden(f"{name}.sha256", f"{digest} {len(documents)}\n")


def test_what_fluentd_is_sent(recorded):
    """Each entry as msgpack, with its tag."""
    orderly = Orderly()
    with Server(orderly) as server:
        url = f"forward://127.0.0.1:{server.port}"
        recorded.ship_to("elk", registry.connect, FLUENTD_URL=url)

    assert_sent("fluentd", [msgpack.packb(entry) for entry in orderly.records])


def test_what_elasticsearch_is_sent(recorded):
    """Each action and its document."""

    def answer(asked):
        if asked.path != "/_bulk":
            return (200, {"version": {"number": "9.5.3"}}) if asked.path == "/" else (200, {"acknowledged": True})
        created = [{"create": {"status": 201}}] * (asked.body.count(b"\n") // 2)
        return 200, {"items": created}

    with scripted(answer) as (url, asked):
        recorded.ship_to("elasticsearch", registry.connect, ELASTICSEARCH_URL=url, ELASTICSEARCH_API_KEY="a2V5")

    lines = b"".join(request.body for request in asked if request.path == "/_bulk").splitlines()
    assert_sent("elasticsearch", [b"\n".join(pair) for pair in zip(lines[::2], lines[1::2], strict=True)])


def test_what_loggly_is_sent(recorded):
    """Each line."""
    with StandIn() as stand_in:
        recorded.ship_to("loggly", registry.connect, **stand_in.environment())

        assert_sent("loggly", stand_in.lines())
