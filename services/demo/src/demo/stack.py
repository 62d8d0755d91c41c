"""Everything the demo needs, started in order and stopped in the reverse one."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from demo.process import Process

ANSWER_S = 30.0  # a worker still imports its modules while its port is open
CHOSEN_HERE = {"DATABASE_URL", "GUNICORN_CMD_ARGS", "OTEL_SERVICE_NAME", "PARTS_URL", "PORT", "WEB_CONCURRENCY"}

SERVICES = ("cars", "parts")

Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses at which the demo's servers listen."""

    cars: str
    parts: str
    viewer: str


@contextmanager
def start_stack(folder: Path, report: Report) -> Iterator[Addresses]:
    """Give the addresses of all servers as soon as they answer; `report` gets each one's name and address when it does.

    The servers' own files go to `folder`. At the end, also that of this process by a signal, all of them are stopped.
    Raises `DemoError` with what a process said last if one does not start.
    """
    with ExitStack() as stack:
        start = _Starter(folder, _environment(), stack)
        # It keeps a lock file in the folder for temporary ones.
        keep = {"TMPDIR": str(folder)}
        postgres = start("postgres", "demo.postgres", str(folder / "postgres"), *SERVICES, **keep)
        start("shipper", "dashcam", "ship")
        viewer = start("viewer", "dashcam", "view", "--port", "0", "--json")
        databases = json.loads(postgres.wait_for(r"^(\{.*\})$"))
        report("PostgreSQL", "on a socket of its own")
        _migrate(start, databases)
        parts = _serve(start, "parts", DATABASE_URL=databases["parts"])
        report("parts", parts)
        cars = _serve(start, "cars", DATABASE_URL=databases["cars"], PARTS_URL=parts)
        report("cars", cars)
        shown = viewer.wait_for(r'^\{"url":"(.*)"\}$')
        report("viewer", shown)
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


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN_HERE}
    return {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=demo"} | kept


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
