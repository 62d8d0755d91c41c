"""fluentd's stand-in: takes messages by forward, keeps each in a file, acknowledges it, and passes it on to `_bulk`.

It keeps fluentd's promises and no more: an acknowledgement once the buffer's file has the message, `event.ingested`,
`create` by `event.id`, 409 for success, 400 to a file of dead letters, everything else once more. So it can be killed
at any time. `relay.py FOLDER PORT STORE_URL NAMESPACE CHANCE` runs until its standard input ends; that part of the
messages meets a reset, half of them after they were kept: their acknowledgement is lost.
"""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import requests

from dashcam.event import format_time

from .. import prepared
from ..destinations.fluentd.server import Guarded, Server, abort, entries, read, say
from ..processes import until

KEY = "sesame"
PAUSE_S = 0.1  # before what was not accepted is sent again
STREAMS = {"dashcam.log": "logs-dashcam-{}", "dashcam.span": "traces-apm.dashcam-{}"}


class Relay:
    """The way of a message, from its connection to the store."""

    def __init__(self, folder, store_url, namespace, chance):
        self._folder, self._store_url, self._namespace, self._chance = folder, store_url, namespace, chance
        self._session, self._has_new = requests.Session(), threading.Event()

    def take(self, sock):
        """One connection's messages."""
        for (tag, body, option), _ in read(sock):
            fate = random.random() / self._chance if self._chance else 1
            if fate < 0.5:
                return abort(sock)
            records = [record for _, record in entries(body, option)]
            for record in records:
                record["event"]["ingested"] = format_time(time.time_ns())
            self._keep(tag, records)
            if fate < 1:
                return abort(sock)
            say(sock, {"ack": option["chunk"]})
        return None

    def _keep(self, tag, records):
        new = self._folder / f"{time.time_ns()}-{threading.get_ident()}.new"
        new.write_bytes(orjson.dumps([tag, records]))
        new.rename(new.with_suffix(".chunk"))
        self._has_new.set()

    def pass_on(self):
        """What is in the folder, oldest first, for ever."""
        while True:
            for styled in sorted(self._folder.glob("*.chunk")):
                tag, records = orjson.loads(styled.read_bytes())
                while records := self._send(STREAMS[tag].format(self._namespace), records):
                    threading.Event().wait(PAUSE_S)
                styled.unlink()
            self._has_new.wait()
            self._has_new.clear()

    def _send(self, stream, records):
        """The records that are to be sent again."""
        actions = [{"create": {"_index": stream, "_id": record["event"]["id"]}} for record in records]
        lines = [line for pair in zip(actions, records, strict=True) for line in pair]
        body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        try:
            headers = {"Content-Type": "application/x-ndjson"}
            answer = self._session.post(f"{self._store_url}/_bulk", body, headers=headers, timeout=30)
        except requests.RequestException:
            return records
        if answer.status_code != 200:
            return records
        statuses = [item["create"]["status"] for item in answer.json()["items"]]
        judged = list(zip(records, statuses, strict=True))
        self._bury([record for record, status in judged if status == 400])
        return [record for record, status in judged if status not in {200, 201, 400, 409}]

    def _bury(self, records):
        with (self._folder / "dead-letters").open("ab") as file:
            file.write(b"".join(orjson.dumps(record) + b"\n" for record in records))


def main(folder, port, store_url, namespace, chance):
    relay = Relay(Path(folder), store_url, namespace, float(chance))
    threading.Thread(target=relay.pass_on, daemon=True).start()
    with Server(Guarded(relay.take, key=KEY), port=int(port)) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


class RelayProcess:
    """A relay that can be killed, and started again on the same port with what it had kept."""

    def __init__(self, folder, store_url, namespace, chance=0.0):
        folder.mkdir()
        self.folder = folder
        self._port, self._arguments = 0, (store_url, namespace, str(chance))
        self._process = None

    @property
    def environment(self):
        """What the shipper needs to know."""
        return {"FLUENTD_URL": f"forward://127.0.0.1:{self._port}", "FLUENTD_SHARED_KEY": KEY}

    def start(self):
        """On its port, which somebody's connection may have taken meanwhile."""
        until(self._is_started, "relay that listens")
        return self

    def _is_started(self):
        command = ["-m", __name__, str(self.folder), str(self._port), *self._arguments]
        with (self.folder / "log").open("ab") as log:
            pipe = subprocess.PIPE
            self._process = prepared.start(command, os.environ, stdin=pipe, stdout=pipe, stderr=log)
        if not (port := self._process.stdout.readline()):
            self.kill()
            return False
        self._port = int(port)
        return True

    def kill(self):
        with self._process:
            self._process.kill()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
