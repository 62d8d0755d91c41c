"""A Python that has imported what the package depends on, and forks for each program that a test runs to its end.

Most of what a short program costs are the imports of the standard library and of OpenTelemetry. The package itself is
not among them: each program imports it, as always, in its own environment.
"""

import gc
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import time
import types
from contextlib import contextmanager, suppress
from pathlib import Path

# With these comes most of what a program imports; not what `dashcam.init()` waits to see imported, as urllib.request.
IMPORTED = (
    "argparse",
    "ipaddress",
    "opentelemetry.instrumentation.threading",
    "opentelemetry.sdk.trace",
    "orjson",
    "pythonjsonlogger.json",
    "secrets",
    "sqlite3",
    "ssl",
    "uuid",
    "wrapt",
)

# Read when Python starts, or OpenTelemetry is imported: a program that is given others of these gets its own Python.
READ_EARLY = ("PYTHON", "OTEL_", "LANG", "LC_", "LD_")

_servers = []


@contextmanager
def serving():
    """Have a prepared Python meanwhile, on Linux; it ends with this process, however that ends."""
    if sys.platform != "linux":  # macOS has no such sockets, and libraries of its own that no fork may use
        yield
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            command = [sys.executable, "-X", "faulthandler", __file__, str(theirs.fileno())]
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        assert ours.recv(1), "the prepared Python did not start"
        _servers.append(ours)
        try:
            yield
        finally:
            _servers.remove(ours)
    server.wait(20)


def run(command, environment, timeout_s):
    """Run `-c CODE` or `-m MODULE` with its arguments to the end, by a fork where one will do."""
    if not _servers or any(os.environ.get(name) != environment[name] for name in environment if _is_early(name)):
        command = [sys.executable, "-X", "faulthandler", *command]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors, Path(os.devnull).open() as nothing:
        status = _fork(_servers[-1], command, environment, (nothing, out, errors), timeout_s)
        texts = [(stream.seek(0), stream.read().decode())[1] for stream in (out, errors)]
    return subprocess.CompletedProcess(command, status, *texts)


def _is_early(name):
    return name.startswith(READ_EARLY) and name not in {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"}


def _fork(server, command, environment, streams, timeout_s):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as report:
        asked = json.dumps({"command": command, "environment": dict(environment), "folder": str(Path.cwd())}).encode()
        with os.fdopen(writing, "wb") as ended:
            socket.send_fds(server, [asked], [stream.fileno() for stream in (*streams, ended)])
        pid = int(report.read(20))
        is_over = False
        try:
            is_over = bool(select.select([report], [], [], timeout_s)[0])
        finally:
            if not is_over:
                os.kill(pid, 9)
        if not is_over:
            raise subprocess.TimeoutExpired(command, timeout_s)
        return int(report.read(20))


def _next_program(control):
    """Return in a fork, with what that is to run; the fork between waits for it, and writes how it ended."""
    while True:
        asked, received, *_ = socket.recv_fds(control, 1 << 20, 4)
        if not asked:
            sys.exit()
        if os.fork() == 0:
            if (pid := os.fork()) == 0:
                for number, stream in enumerate(received[:3]):
                    os.dup2(stream, number)
                control.detach()
                os.closerange(3, 256)
                return json.loads(asked)
            with suppress(BrokenPipeError):  # of a test that waited no longer
                os.write(received[3], b"%20d" % pid)
                os.write(received[3], b"%20d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
        for number in received:
            os.close(number)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _become(command, environment, folder):
    """Do what Python does with these arguments."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[0] = ""
    kind, what, *arguments = command
    sys.argv = [kind, *arguments]
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    if kind == "-c":
        exec(compile(what, "<string>", "exec"), vars(main))
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _prepare():
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # no fork copies their memory only to count their references


if __name__ == "__main__":
    asking = socket.socket(fileno=int(sys.argv[1]))
    asking.send(b"!")
    _prepare()
    _become(**_next_program(asking))
