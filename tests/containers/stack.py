"""A checkout of its own, started in containers by the project's own `make up`."""

import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import urllib3

from ..ports import free_port
from .engine import Engine

ROOT = Path(__file__).parents[2]
STALE = ("services/cars/build/lib/cars/stale.py", "services/cars/.env", "src/dashcam/record/stale.so")


def until(condition: Callable[[], object], what: str, limit_s: float = 120) -> object:
    """Poll until something is so; gives it."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"no {what} within {limit_s} s"
        time.sleep(0.2)
    return found


class Stack:
    """One project of compose: its folder, its port, and what was ordered from it."""

    def __init__(self, engine: Engine, folder: Path, **settings: str) -> None:
        self.engine, self.folder = engine, folder
        self.name = f"dashcam{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        self.ordered: list[str] = []
        _check_out(folder)
        self.change(COMPOSE_PROJECT_NAME=self.name, CARS_PORT=str(self.port), **settings)

    def change(self, **settings: str) -> None:
        """Change variables of .env, which is made first."""
        self.make(".env")
        path = self.folder / ".env"
        kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in settings]
        path.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in settings.items())]) + "\n")

    def make(self, target: str) -> str:
        """Run a target of the Makefile; what it printed."""
        command = ["make", "--silent", "--directory", str(self.folder), target]
        environment = {name: value for name, value in self.engine.environment.items() if not name.startswith("MAKE")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def compose(self, *words: str, **options: object) -> str:
        """Run a command of compose; what it printed."""
        return self.engine.run("compose", "--project-directory", str(self.folder), *words, **options).stdout

    def containers(self, service: str = "") -> dict[str, dict]:
        """What the engine says of the containers of a service, or of all that run, by name."""
        labels = [f"project={self.name}", "oneoff=False", *([f"service={service}"] if service else [])]
        filters = [word for label in labels for word in ("--filter", f"label=com.docker.compose.{label}")]
        listed = self.engine.run("ps", "--quiet", *filters).stdout.split()
        if not listed:
            return {}
        found = json.loads(self.engine.run("inspect", *listed).stdout)
        return {each["Name"].strip("/"): each for each in found}

    def is_healthy(self) -> bool:
        """Whether every container that has a check is; the stand-in has none."""
        states = [each["State"]["Health"] for each in self.containers().values() if "Health" in each["State"]]
        return bool(states) and all(state["Status"] == "healthy" for state in states)

    def dashcam(self, *words: str, backend: str = "", **options: object) -> str:
        """Run a command beside the shipper; what it printed."""
        variables = ["--env", f"LOG_BACKEND={backend}"] if backend else []
        return self.compose("exec", "-T", *variables, "shipper", "dashcam", *words, **options)

    def request_ids(self, service: str, backend: str = "") -> set[str]:
        """The requests that a service served, as the store has them.

        A request whose process is killed right after its answer is one of a process that died.
        """
        query = f"service:{service} (processor.event:transaction OR outcome:aborted)"
        lines = self.dashcam("search", query, "--json", "--limit", "0", backend=backend, check=False).splitlines()
        return {json.loads(line).get("http", {}).get("request", {}).get("id") for line in lines}

    def ask(self, method: str, path: str, **options: object) -> urllib3.BaseHTTPResponse:
        """The answer to one request, asked once."""
        with urllib3.PoolManager(timeout=30, retries=False) as pool:
            return pool.request(method, f"http://127.0.0.1:{self.port}{path}", **options)

    def order(self) -> int:
        """Order one car; a 201 is kept with the others. 0 where there was no answer."""
        request_id = uuid.uuid4().hex
        headers = {"X-Request-ID": request_id, "Content-Type": "application/json"}
        try:
            answer = self.ask("POST", "/cars", body=b'{"name": "VW Golf"}', headers=headers)
        except urllib3.exceptions.HTTPError:
            return 0
        if answer.status == 201:
            self.ordered.append(request_id)
        return answer.status

    @contextmanager
    def load(self, clients: int = 4):
        """Order cars meanwhile; gives the statuses of the answers."""
        over, statuses = threading.Event(), []

        def run() -> None:
            while not over.wait(0.01):
                statuses.append(self.order())

        with ThreadPoolExecutor(clients) as threads:
            running = [threads.submit(run) for _ in range(clients)]
            try:
                yield statuses
            finally:
                over.set()
        for each in running:
            each.result()

    def remove(self) -> None:
        """Take everything away, volumes too."""
        profiles = ["--profile", "fake-loggly", "--profile", "dashboards"]
        self.compose(*profiles, "down", "--volumes", "--rmi", "local", "--timeout", "5", check=False)


def _check_out(folder: Path) -> None:
    """Copy what git knows of, as somebody with a careful umask has it, and what builds and runs leave behind."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    before = os.umask(0o077)
    try:
        for name in filter(None, listed.split("\0")):
            source, target = ROOT / name, folder / name
            if not (source.exists() or source.is_symlink()):
                continue  # removed, and not yet committed
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                target.symlink_to(source.readlink())
            else:
                shutil.copyfile(source, target)
                target.chmod(source.stat().st_mode & 0o700)
        for name in STALE:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("stale\n")
    finally:
        os.umask(before)
