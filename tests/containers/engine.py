"""A container engine with compose: the one that is there, or one of the test's own where this is Debian and root."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dashcam-containers"
COMPOSE = "github.com/docker/compose/v2"
START_LIMIT_S = 60


class Unavailable(Exception):
    """This machine has no engine and cannot be given one; the text says what is missing."""


@dataclass(slots=True)
class Engine:
    """An engine that answers; `process` is there where it is ours to stop."""

    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def run(
        self, *words: str, limit_s: float = 600, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a docker command; its output is text."""
        command, environment = ["docker", *words], self.environment
        return subprocess.run(
            command, env=environment, text=True, timeout=limit_s, check=check, capture_output=True, **options
        )

    def inspect(self, name: str) -> dict[str, object]:
        """What the engine says of a container or an image."""
        return json.loads(self.run("inspect", name).stdout)[0]

    def has(self, image: str) -> bool:
        """Whether an image of that name is there, or comes from a registry."""
        if self.run("image", "inspect", image, check=False).returncode == 0:
            return True
        return self.run("pull", "--quiet", image, check=False, limit_s=900).returncode == 0

    def stop(self) -> None:
        """End the engine if it is ours."""
        if self.process:
            self.process.terminate()
            self.process.wait(60)


def find() -> Engine:
    """The engine that DOCKER_HOST names, or the machine's, or one that is started here; raises `Unavailable`."""
    engine = Engine(dict(os.environ))
    if not (shutil.which("docker") and engine.run("info", check=False).returncode == 0):
        engine = _start()
    if engine.run("compose", "version", check=False).returncode:
        _install_compose()
    return engine


def _start() -> Engine:
    if os.geteuid() or not shutil.which("apt-get"):
        raise Unavailable("needs a container engine: none answers, and it takes root on Debian to install one")
    if not shutil.which("dockerd"):
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "docker.io", "debootstrap", "iptables"]
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    CACHE.mkdir(parents=True, exist_ok=True)
    socket = f"unix://{CACHE}/docker.sock"
    folders = ["--data-root", CACHE / "data", "--exec-root", CACHE / "exec", "--pidfile", CACHE / "docker.pid"]
    with (CACHE / "docker.log").open("wb") as log:
        process = subprocess.Popen(["dockerd", *folders, "--host", socket], stdout=log, stderr=log)
    engine = Engine({**os.environ, "DOCKER_HOST": socket}, process)
    until = time.monotonic() + START_LIMIT_S
    while engine.run("info", check=False).returncode:
        if process.poll() is not None or time.monotonic() > until:
            engine.stop()
            raise Unavailable(f"the engine does not start: {(CACHE / 'docker.log').read_text()[-2000:]}")
        time.sleep(0.2)
    return engine


def _install_compose() -> None:
    if not shutil.which("go"):
        raise Unavailable("needs docker compose, or Go to build it")
    plugin = Path.home() / ".docker" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True, exist_ok=True)
    listed = _go("list", "-m", "-f", "{{.Version}}", f"{COMPOSE}@latest").strip()
    source = json.loads(_go("mod", "download", "-json", f"{COMPOSE}@{listed}"))["Dir"]
    flags = f"-s -w -X {COMPOSE}/internal.Version={listed}"
    options = ["-trimpath", "-mod=mod", "-modfile", _own_module_file(source), "-ldflags", flags]
    _go("build", *options, "-o", str(plugin), "./cmd", cwd=source)


def _own_module_file(source: str) -> str:
    # The module cache is read-only, and a build may want to complete the checksums.
    copy = CACHE / "compose.mod"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(source) / "go.mod", copy)
    shutil.copy(Path(source) / "go.sum", copy.with_suffix(".sum"))
    return str(copy)


def _go(*words: str, cwd: str = "/") -> str:
    return subprocess.run(["go", *words], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True, timeout=1800).stdout
