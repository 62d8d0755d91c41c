"""An HTTP server that answers what a test tells it to, and remembers what it was asked."""

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import orjson


class Asked(NamedTuple):
    """One request: its path without the query, which is `params`, each name once."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        """The body as JSON."""
        return orjson.loads(self.body)


@contextmanager
def scripted(answer, tls=None):
    """The address of a server, and the list of what it was asked so far.

    `answer` takes an `Asked` and gives a status and a body, and headers if it likes; a body that is not bytes is
    sent as JSON. With `tls`, an `ssl.SSLContext`, it speaks HTTPS.
    """
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self):
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            asked.append(self._read())
            status, body, *headers = answer(asked[-1])
            self._write(status, body if isinstance(body, bytes) else orjson.dumps(body), dict(*headers))

        def _read(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            parts = urlsplit(self.path)
            params = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            return Asked(self.command, parts.path, params, dict(self.headers), body)

        def _write(self, status, body, headers):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing: a test looks at `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
