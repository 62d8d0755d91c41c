"""A webhook in a process of its own: it appends each request to a file, answers late now and then, and may refuse.

`python -m tests.watch.receiver FILE` prints its port.
"""

import json
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHANCE = random.Random(5)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = CHANCE.random() < 0.1
        if not refused:
            with Path(sys.argv[1]).open("a") as file:
                file.write(json.dumps([self.headers["Idempotency-Key"], json.loads(body)["state"]]) + "\n")
        time.sleep(CHANCE.random() * 0.02)
        self.send_response(503 if refused else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
