"""A forward server in a process of its own that does what fluentd does before its buffer, and no more.

It takes messages apart, keeps packed entries as they are, and acknowledges; so a measurement shows the sender.
"""

import subprocess
import sys
import threading

import msgpack
from tests.destinations.fluentd.server import Server, read


class Counting:
    """How many events came; those of a packed message by their count in the option, as fluentd does."""

    def __init__(self):
        self.events = 0
        self._lock = threading.Lock()

    def __call__(self, sock):
        for message, _ in read(sock):
            option = message[2] if isinstance(message[1], bytes) else {}
            with self._lock:
                self.events += option.get("size", 1)
            if "chunk" in option:
                sock.sendall(msgpack.packb({"ack": option["chunk"]}))


class Sink:
    """The server, started; `port` is where, `count` how many events it has."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._process.stdout.readline())

    def count(self):
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def stop(self):
        self._process.communicate()


def main():
    with Server(Counting()) as server:
        print(server.port, flush=True)
        for _ in sys.stdin:
            print(server.handle.events, flush=True)


if __name__ == "__main__":
    main()
