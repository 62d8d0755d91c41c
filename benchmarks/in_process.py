"""A form of the garage in a process that serves requests one after the other, without a server around it.

Reads how many requests to serve, a number a line, and prints how many microseconds of processor each took.
"""

import io
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What gunicorn hands over for a GET, but for what differs from one caller to the next.
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "gunicorn",
    "REMOTE_PORT": "4242",
    "HTTP_HOST": "127.0.0.1:8000",
    "HTTP_ACCEPT_ENCODING": "identity",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(),
    "wsgi.input_terminated": True,
    "wsgi.errors": sys.stderr,
    "wsgi.file_wrapper": None,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


_numbers = count()


class Garage:
    """The process; `serve(count)` gives the microseconds of processor that each request took."""

    def __init__(self, process):
        self._process = process

    def serve(self, count):
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return {"CPU µs a request": float(self._process.stdout.readline())}


@contextmanager
def garage(form, folder):
    """A form of the garage, started."""
    environment = os.environ | {"DASHCAM_DIR": str(folder), "PYTHONPATH": str(ROOT), "DASHCAM_SPOOL_LIMIT": "100GB"}
    environment |= {"DASHCAM_CONSOLE": "off"}  # the other forms print nothing
    command = [sys.executable, "-m", __name__, form]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Garage(process)
        process.stdin.close()


def serve_one(app):
    """Serve the request of one more car to one more address and browser."""
    number = next(_numbers)
    path = f"/cars/{number}"
    caller = {
        "PATH_INFO": path,
        "RAW_URI": path,
        "REMOTE_ADDR": f"203.0.{number // 256 % 256}.{number % 256}",
        "HTTP_USER_AGENT": f"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/{number % 100}.0",
    }
    body = app(ENVIRON | caller, lambda *_: None)
    for _ in body:
        pass
    body.close()


def main(form):
    from benchmarks import garage as forms

    app = getattr(forms, form)()
    for line in sys.stdin:
        started_s = time.process_time()
        for _ in range(int(line)):
            serve_one(app)
        print(1e6 * (time.process_time() - started_s) / int(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
