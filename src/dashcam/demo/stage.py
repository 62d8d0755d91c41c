"""Everything the demo needs, started in order and stopped in the reverse one."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from dashcam.demo.process import Process

ANSWER_S = 30.0  # a worker still imports its modules while its port is open
CHOSEN_HERE = {"DATABASE_URL", "GUNICORN_CMD_ARGS", "OTEL_SERVICE_NAME", "PARTS_URL", "PORT", "WEB_CONCURRENCY"}

SERVICES = ("cars", "parts")

Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo's servers listen."""

    cars: str
    parts: str
    viewer: str


@contextmanager
def set_up(folder: Path, dashcam_dir: Path, tell: Tell) -> Iterator[Addresses]:
    """The addresses of all servers as soon as they answer; `tell` gets each one's name and address when it does.

    The servers' own files go to `folder`. At the end, also that of this process by a signal, all of them are stopped.
    Raises `DashcamError` with what a process said last if one does not start.
    """
    with ExitStack() as stack:
        start = _Starter(folder, _environment(dashcam_dir), stack)
        # It keeps a lock file in the folder for temporary ones.
        keep = {"TMPDIR": str(folder)}
        postgres = start("postgres", "dashcam.demo.postgres", str(folder / "postgres"), *SERVICES, **keep)
        start("shipper", "dashcam", "ship")
        viewer = start("viewer", "dashcam", "view", "--port", "0", "--json")
        databases = json.loads(postgres.wait_for(r"^(\{.*\})$"))
        tell("PostgreSQL", "on a socket of its own")
        _migrate(start, databases)
        parts = _serve(start, "parts", DATABASE_URL=databases["parts"])
        tell("parts", parts)
        cars = _serve(start, "cars", DATABASE_URL=databases["cars"], PARTS_URL=parts)
        tell("cars", cars)
        shown = viewer.wait_for(r'^\{"url":"(.*)"\}$')
        tell("viewer", shown)
        yield Addresses(cars, parts, shown)


@dataclass(frozen=True, slots=True)
class _Starter:
    folder: Path
    environment: Mapping[str, str]
    stack: ExitStack

    def __call__(self, name: str, *arguments: str, **environment: str) -> Process:
        process = Process(name, arguments, self.folder, {**self.environment, **environment})
        self.stack.callback(process.stop)
        return process


def _environment(dashcam_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN_HERE}
    return {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=demo"} | kept | {"DASHCAM_DIR": str(dashcam_dir)}


def _migrate(start: _Starter, databases: Mapping[str, str]) -> None:
    commands = [start(f"{name}-migrate", name, "migrate", DATABASE_URL=url) for name, url in databases.items()]
    for command in commands:
        command.wait()


def _serve(start: _Starter, service: str, **environment: str) -> str:
    options = ["-c", "python:chassis.gunicorn_conf", "-b", "127.0.0.1:0"]
    process = start(service, "gunicorn", *options, f"{service}.app:create_app()", **environment)
    address = process.wait_for(r"Listening at: (\S+)")
    with urlopen(f"{address}/readyz", timeout=ANSWER_S):  # noqa: S310 - our own address
        return address
