"""A Python that has imported what the package depends on, and forks for each program that a test starts.

Most of what a short program costs are the imports of the standard library and of OpenTelemetry. The package itself is
not among them: each program imports it, as always, in its own environment.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

# With these comes most of what a program imports; not what `dashcam.init()` waits to see imported, as urllib.request.
IMPORTED = (
    "argparse",
    "click",
    "concurrent.futures.thread",
    "difflib",
    "html",
    "ipaddress",
    "jinja2",
    "opentelemetry.instrumentation.threading",
    "opentelemetry.sdk.trace",
    "orjson",
    "pickle",
    "pythonjsonlogger.json",
    "queue",
    "secrets",
    "sqlite3",
    "ssl",
    "uuid",
    "wrapt",
)

# Read when Python starts, or OpenTelemetry is imported: a program that is given others of these gets its own Python.
READ_EARLY = ("PYTHON", "OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "LANG", "LC_", "LD_")

_servers = []


@contextmanager
def serving(*modules):
    """Have a prepared Python meanwhile, on Linux, that has imported these modules, too, which all its programs import.

    It ends with this process, however that ends.
    """
    if sys.platform != "linux":  # macOS has no such sockets, and libraries of its own that no fork may use
        yield
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            command = [sys.executable, "-X", "faulthandler", __file__, str(theirs.fileno()), *modules]
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
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with start(command, environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors) as program:
            try:
                program.wait(timeout_s)
            except subprocess.TimeoutExpired:
                program.kill()
                raise
        texts = [(stream.seek(0), stream.read().decode())[1] for stream in (out, errors)]
    return subprocess.CompletedProcess(command, program.returncode, *texts)


def start(command, environment, *, stdin=None, stdout=None, stderr=None, cwd=None):
    """Start such a program; what `subprocess.Popen` gives, or as much of it as tests ask for."""
    early = [name for name in environment if name.startswith(READ_EARLY)]
    if not _servers or any(os.environ.get(name) != environment[name] for name in early):
        command = [sys.executable, "-X", "faulthandler", *command]
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        return subprocess.Popen(command, env=environment, cwd=cwd, text=True, **streams)
    return Program(command, environment, cwd or Path.cwd(), (stdin, stdout, stderr))


class Program:
    """A program that a fork of the prepared Python runs, with the names of `subprocess.Popen`."""

    def __init__(self, command, environment, folder, streams):
        stdin, stdout, stderr = streams
        self._command, self.returncode = command, None
        self._report, ended = socket.socketpair()
        with ended, ExitStack() as theirs:
            given, self.stdin = self._stream(stdin, 0, theirs)
            out, self.stdout = self._stream(stdout, 1, theirs)
            errors, self.stderr = (out, None) if stderr == subprocess.STDOUT else self._stream(stderr, 2, theirs)
            asked = {"command": command, "environment": dict(environment), "folder": str(folder)}
            socket.send_fds(_servers[-1], [json.dumps(asked).encode()], [given, out, errors, ended.fileno()])
        self.pid = int(self._report.recv(20))

    @staticmethod
    def _stream(stream, number, theirs):
        """The file descriptor of a program's stream, and our end of it."""
        if stream is None:
            return number, None
        if stream == subprocess.DEVNULL:
            return theirs.enter_context(open(os.devnull, "rb" if number == 0 else "wb")).fileno(), None  # noqa: PTH123
        if stream != subprocess.PIPE:
            return stream.fileno(), None
        reading, writing = os.pipe()
        if number == 0:
            return theirs.enter_context(os.fdopen(reading)).fileno(), os.fdopen(writing, "w")
        return theirs.enter_context(os.fdopen(writing, "w")).fileno(), os.fdopen(reading)

    def poll(self):
        """Its status, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)

    def wait(self, timeout=None):
        """Its status, once it has ended."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._command, timeout)
            self.returncode = int(self._report.recv(20))
            self._report.close()
        return self.returncode

    def send_signal(self, number):
        """Signal it, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ends just now
                os.kill(self.pid, number)

    def terminate(self):
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """End it."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()
        self.wait()


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
            for number in received[:3]:
                os.close(number)
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
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests behind itself ignores it
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


def _leave(status):
    """End as Python does, but without freeing its memory: to write to each shared page of it takes longest of all.

    So the finalizers of what lives to the end are not called: `run_alone` of processes.py is for tests of those.
    """
    threading._shutdown()  # waits for the threads
    atexit._run_exitfuncs()
    with suppress(Exception):  # Python tells of what cannot be written
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        os._exit(status)
    sys.exit(status)


def _prepare(modules):
    for name in (*IMPORTED, *modules):
        importlib.import_module(name)
    gc.freeze()  # no fork copies their memory only to count their references


if __name__ == "__main__":
    asking = socket.socket(fileno=int(sys.argv[1]))
    asking.send(b"!")
    _prepare(sys.argv[2:])
    given = _next_program(asking)
    try:
        _become(**given)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise  # a text, which Python prints
        _leave((end.code or 0) & 0xFF)
    _leave(0)
