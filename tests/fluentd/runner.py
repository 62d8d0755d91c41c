"""A real fluentd with the configuration of logging/fluentd, on free ports, its data in a folder of the test."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from ..processes import until

CONFIGURATION = Path(__file__).parents[2] / "logging" / "fluentd" / "fluent.conf"
SHARED_KEY = "sesame"


class Fluentd:
    """A fluentd that runs until `stop`; `start` again goes on with the same data."""

    @staticmethod
    def require():
        """Skip where there is none."""
        if not shutil.which("fluentd"):
            pytest.skip(
                "needs fluentd on the PATH: gem install fluentd fluent-plugin-elasticsearch fluent-plugin-opensearch"
            )

    def __init__(self, folder, store_url, namespace, **environment):
        self.folder = folder
        self.port, self.containers_port, self.monitor_port = free_ports(3)
        self.environment = {
            "ELASTICSEARCH_URL": store_url,
            "DASHCAM_NAMESPACE": namespace,
            "FLUENTD_SHARED_KEY": SHARED_KEY,
            "FLUENTD_DATA": str(folder),
            "FLUENTD_PORT": str(self.port),
            "FLUENTD_CONTAINERS_PORT": str(self.containers_port),
            "FLUENTD_MONITOR_PORT": str(self.monitor_port),
            **environment,
        }
        self.log = folder / "fluentd.log"
        self._process = None

    def start(self):
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["fluentd", "-c", str(CONFIGURATION)],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._is_up, "fluentd", 60)
        return self

    def _is_up(self):
        assert self._process.poll() is None, self.log.read_text()
        try:
            return self.plugins() and socket.create_connection(("127.0.0.1", self.port), 1).close() is None
        except (URLError, ConnectionError):
            return False

    @property
    def worker(self):
        """The number of the process that does the work: another one after it died."""
        return next(child.pid for child in psutil.Process(self._process.pid).children() if child.is_running())

    def plugins(self):
        """What monitor_agent tells, by plugin id."""
        with urlopen(f"http://127.0.0.1:{self.monitor_port}/api/plugins.json", timeout=5) as answer:
            return {plugin["plugin_id"]: plugin for plugin in json.load(answer)["plugins"]}

    def kill(self):
        """End supervisor and worker at once, as a crash of the machine's would, but for what the kernel holds."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self):
        self._process.terminate()
        self._process.wait(30)

    def dead_letters(self):
        """The events of the dead-letter files."""
        files = sorted((self.folder / "dead-letters").glob("*.log"))
        # Up to the last line end: fluentd may be writing the next one.
        return [
            json.loads(line) for file in files for line in file.read_bytes().rpartition(b"\n")[0].split(b"\n") if line
        ]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports
