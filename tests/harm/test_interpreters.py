"""Interpreters in one process, each with an application: each records for itself, and none harms the others."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from http.client import HTTPConnection

import psutil
import pytest

from ..ports import free_port
from ..processes import DEADLINE_S, until
from ..spool.spools import read_spool

PROGRAM = """
import sys
from pathlib import Path
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters  # before Python 3.13

folder, kind, *steps = sys.argv[1:]
CODE = '''
import enum, logging, sys, uuid
from pathlib import Path
sys.path[:0] = {path!r}
import dashcam
from dashcam.settings import RecordSettings
if "log" not in globals():
    dashcam.init("{name}", settings=RecordSettings(dir=Path({folder!r}), console="off"))
    log = dashcam.get_logger("{name}")
class Colour(enum.Enum): RED = "red"
for number in range(50):
    log.info("{name}", colour=Colour.RED, id=uuid.UUID(int=7), items=[1, 2.5, None], names={{{{"a"}}}}, big=2**70)
    log.info("{name}", surrogate="\\\\ud800", password="secret", number=float("nan"))
    logging.getLogger("other").warning("{name}")
with dashcam.job("{name}"):
    log.info("{name}")
'''

def code(name):
    return CODE.format(path=sys.path, name=name, folder=folder).replace("{{", "{").replace("}}", "}")

def run(name):
    if name == "main":
        exec(code(name), vars(main))
        return
    if name not in running:
        given = (kind,) if sys.version_info >= (3, 13) else ()
        options = {} if given else {"isolated": kind == "isolated"}
        running[name] = interpreters.create(*given, **options)
    if failed := interpreters.run_string(running[name], code(name)):
        sys.exit(str(failed))

import types
main, running = types.ModuleType("application"), {}
for step in steps:
    if step.startswith("end-"): interpreters.destroy(running.pop(step.removeprefix("end-")))
    else: run(step)
"""
LINES = 152  # of one run: the span of the job, and its mark


def _services(spool):
    """How many lines each service has, by the message, which is the name of the one that logged it."""
    return Counter((path.parent.name, line) for path in spool.glob("*/*/*.segment") for line in _messages(path))


def _messages(path):
    lines = path.read_bytes().rstrip(b"\0").splitlines()[1:]
    return [json.loads(line)["message"].partition(" ")[0] for line in lines if b'"event":"start"' not in line]


LIVES = {
    "one after the other": ("main", "a", "b", "a", "main"),
    "one that ends before the main one goes on": ("main", "a", "end-a", "main"),
    "one that ends before another begins": ("a", "end-a", "b", "main"),
    "one that ends before another goes on": ("a", "b", "end-a", "b", "main"),
}
# An interpreter with a lock of its own that imports `datetime` before the main one ends Python 3.12 and 3.13 itself.
KINDS = [
    (kind, life)
    for kind in ("legacy", "isolated")
    for life, steps in LIVES.items()
    if kind == "legacy" or steps[0] == "main" or sys.version_info < (3, 12)
]


@pytest.mark.parametrize(("kind", "life"), KINDS)
def test_lines_of_interpreters(tmp_path, kind, life):
    """Each service has all lines of its own interpreter, and no other, also after one has ended."""
    steps = LIVES[life]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), kind, *steps]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)

    assert done.returncode == 0, done.stderr[-2000:]
    runs = Counter(step for step in steps if not step.startswith("end-"))
    assert _services(tmp_path / "spool") == {(name, name): LINES * count for name, count in runs.items()}


APPLICATION = """
import logging, os, threading
from pathlib import Path
import dashcam
from flask import Flask

app = Flask("{name}")
dashcam.init_app(app, "{name}")
log = dashcam.get_logger("{name}")
log.info("loaded-{name}")

@app.get("/<int:number>")
def answer(number):
    log.info("{name}", number=number)
    logging.getLogger("other").warning("{name}")
    thread = threading.Thread(target=log.info, args=("{name}",))
    thread.start()
    thread.join()
    return "answer"

@app.get("/truncate")
def truncate():
    log.info("{name}")
    for path in Path(os.environ["DASHCAM_DIR"]).glob("spool/*/*/*.segment"):
        os.truncate(path, 0)
    for number in range(1000):
        log.info("{name}")
    return "answer"
"""
WAYS = {
    "processes": ("--processes", "2"),
    "threads": ("--processes", "1", "--threads", "4"),
    "processes that load it": ("--processes", "2", "--threads", "2", "--lazy-apps"),
}
LONG = pytest.mark.long


@contextlib.contextmanager
def _uwsgi(folder, way):
    """A uWSGI with two applications, each in an interpreter of its own, and its port."""
    for name in ("golf", "polo"):
        (folder / f"{name}.py").write_text(APPLICATION.format(name=name))
    port = free_port()
    command = [
        *(sys.executable, "-c", "import sys, pyuwsgi; sys.exit(pyuwsgi.run())"),
        *("--http-socket", f"127.0.0.1:{port}", "--master", "--enable-threads", "--need-app", *WAYS[way]),
        *("--manage-script-name", "--mount", "/golf=golf:app", "--mount", "/polo=polo:app"),
    ]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"DASHCAM_DIR": str(folder), "DASHCAM_CONSOLE": "off", "PYTHONPATH": path}
    with (folder / "output").open("wb") as output:
        server = psutil.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        until(lambda: _get(port, "/golf/0") and _get(port, "/polo/0"), "answer")
        yield server, port
    finally:
        for process in [*server.children(recursive=True), server]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()


def _get(port, path):
    """What the server answers; nothing before it listens."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        try:
            connection.request("GET", path)
        except ConnectionError:
            return b""
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


@pytest.fixture(params=["processes", "threads", pytest.param("processes that load it", marks=LONG)])
def uwsgi(request, tmp_path):
    pytest.importorskip("pyuwsgi", reason="needs pyuwsgi, which `make venv` installs where it has a wheel")
    with _uwsgi(tmp_path, request.param) as serving:
        yield serving


def _get_many(port, path, count):
    for number in range(count):
        assert _get(port, f"{path}/{number}")


def test_two_applications_of_a_uwsgi(tmp_path, uwsgi):
    """Each has its lines in its own spool, from all processes and threads, and no two requests have one ID."""
    _, port = uwsgi
    spool = tmp_path / "spool"

    callers = [threading.Thread(target=_get_many, args=(port, path, 20)) for path in ("/golf", "/polo") * 2]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    # A span ends after the answer.
    services = until(
        lambda: (known := _services(spool)) and known["golf", "GET"] + known["polo", "GET"] >= 82 and known, "span"
    )
    assert services.keys() == {(name, said) for name in ("golf", "polo") for said in (name, f"loaded-{name}", "GET")}
    for name in ("golf", "polo"):
        assert services[name, "GET"] == 41
        assert services[name, name] == 3 * 41
    lines = [json.loads(line) for line in read_spool(spool)]
    spans = [line for line in lines if line.get("processor") == {"event": "transaction"}]
    assert len({span["trace"]["id"] for span in spans}) == 82
    assert len({span["http"]["request"]["id"] for span in spans}) == 82


def test_a_segment_that_is_truncated_beside_a_uwsgi(tmp_path, uwsgi):
    """No worker ends by it, though its threads block all signals, and all lines that follow are kept."""
    server, port = uwsgi
    workers = {process.pid for process in server.children()}

    for path in ("/golf", "/polo") * 4:
        _get(port, f"{path}/truncate")
    _get_many(port, "/golf", 20)

    assert {process.pid for process in server.children()} == workers
    services = _services(tmp_path / "spool")
    assert services["polo", "polo"] == 1000
    assert services["golf", "golf"] == 3 * 20
