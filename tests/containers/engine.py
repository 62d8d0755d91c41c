"""A container engine with compose: the one that is there, or one of the tests' own where this is Debian and root."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .debian import CACHE, Unavailable, extract, install

START_LIMIT_S = 60
# All containers together weigh as much as one program beside them, unless their group says more: on a busy machine
# their health checks then take longer than they may.
CPU_GROUP, CPU_SHARES = Path("/sys/fs/cgroup/cpu/docker"), 10 * 1024


@dataclass(slots=True)
class Engine:
    """An engine that answers where `environment` says."""

    environment: dict[str, str]

    def run(
        self, *words: str, limit_s: float = 600, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a docker command; its output is text."""
        command, environment = ["docker", *words], self.environment
        return subprocess.run(
            command, env=environment, text=True, timeout=limit_s, check=check, capture_output=True, **options
        )

    def answers(self, *words: str) -> bool:
        """Whether a docker command succeeds."""
        return bool(shutil.which("docker")) and self.run(*words, check=False).returncode == 0

    def inspect(self, name: str) -> dict[str, object]:
        """What the engine says of a container or an image."""
        return json.loads(self.run("inspect", name).stdout)[0]


@contextmanager
def running() -> Iterator[Engine]:
    """The engine that DOCKER_HOST names, or the machine's, or one that is started for the while.

    Raises `Unavailable`.
    """
    engine = Engine(dict(os.environ))
    with ExitStack() as ends:
        if not engine.answers("info"):
            ends.enter_context(_of_our_own(engine))
        if not engine.answers("compose", "version"):
            _add_compose(engine)
        yield engine


@contextmanager
def _of_our_own(engine: Engine) -> Iterator[None]:
    install("docker.io", "iptables")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock, (CACHE / "docker.log").open("wb") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one run at a time
        engine.environment["DOCKER_HOST"] = socket = f"unix://{CACHE}/docker.sock"
        process = subprocess.Popen(_daemon(socket), stdout=log, stderr=log)
        try:
            _wait(engine, process)
            if CPU_GROUP.parent.exists():
                CPU_GROUP.mkdir(exist_ok=True)
                (CPU_GROUP / "cpu.shares").write_text(str(CPU_SHARES))
            yield
        finally:
            process.terminate()
            process.wait(60)


def _daemon(socket: str) -> list[str]:
    """The engine's command; it ends with the tests, however they end."""
    folders = ["--data-root", f"{CACHE}/data", "--exec-root", f"{CACHE}/exec", "--pidfile", f"{CACHE}/docker.pid"]
    return ["setpriv", "--pdeathsig", "TERM", "dockerd", *folders, "--host", socket]


def _wait(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_LIMIT_S
    while not engine.answers("info"):
        if process.poll() is not None or time.monotonic() > until:
            last = (CACHE / "docker.log").read_text().strip().rpartition("\n")[2]
            raise Unavailable(f"the engine does not start: {last}")
        time.sleep(0.2)


def _add_compose(engine: Engine) -> None:
    """The plugin of a newer Debian, which an older one can run, for these tests alone."""
    plugins = CACHE / "config" / "cli-plugins"
    if not (plugins / "docker-compose").exists():
        extract("docker-compose", CACHE / "compose")
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copy(CACHE / "compose/usr/libexec/docker/cli-plugins/docker-compose", plugins)
    engine.environment["DOCKER_CONFIG"] = str(plugins.parent)
