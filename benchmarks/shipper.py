"""A shipper's processor time an event, to each destination, and how far it is behind a service that records.

`dashcam ship --drain` over a spool that a service has filled, as a whole process; what it takes for an empty spool is
left out. Then a service records at a steady rate while `dashcam ship` runs beside it: the lag is the number of events
that are recorded and not acknowledged yet, a few times a second, as seconds of that rate.

The destinations are the local store, and servers on this machine that take what comes and answer as the real ones do.

    python -m benchmarks.shipper [--events 200000] [--rounds 5] [--seconds 15] [--rates 1000 10000 50000]
"""

import argparse
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from benchmarks.idle_shipper import used_s
from benchmarks.loggly import FIELDS, MESSAGE
from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict
from benchmarks.sink import Sink

import dashcam
from dashcam.ship.state import checkpoint
from dashcam.testing.fake_loggly import StandIn

MOST_US = {"elasticsearch": 2, "loggly": 2, "elk": 3, "local": 15}
BURST_S = 0.01
LOOK_S = 0.2
CREATED = b'{"create":{"status":201}}'


class _Engine(BaseHTTPRequestHandler):
    """Elasticsearch as far as a shipper asks it: its version, and each event created."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(b'{"version":{"number":"9.1.0"},"tagline":"You Know, for Search"}')

    def do_POST(self):
        events = self.rfile.read(int(self.headers["Content-Length"])).count(b"\n") // 2
        self._answer(b'{"items":[' + b",".join([CREATED] * events) + b"]}")

    def _answer(self, body):
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def engine() -> Iterator[dict[str, str]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"ELASTICSEARCH_URL": f"http://127.0.0.1:{server.server_port}"}
        server.shutdown()
        thread.join()


@contextmanager
def fluentd() -> Iterator[dict[str, str]]:
    sink = Sink()
    yield {"FLUENTD_URL": f"forward://127.0.0.1:{sink.port}"}
    sink.stop()


@contextmanager
def loggly() -> Iterator[dict[str, str]]:
    with StandIn() as stand_in:
        yield stand_in.environment()


@contextmanager
def nothing() -> Iterator[dict[str, str]]:
    yield {}


SERVERS = {"elasticsearch": engine, "loggly": loggly, "elk": fluentd, "local": nothing}


def environment_for(folder: Path, route: str, stack: ExitStack) -> dict[str, str]:
    """The settings of a shipper to a destination whose server has been started."""
    own = {"DASHCAM_DIR": str(folder), "LOG_BACKEND": route, "OTEL_SERVICE_NAME": "cars", "DASHCAM_CONSOLE": "off"}
    return {**os.environ, **stack.enter_context(SERVERS[route]()), **own}


def record(events: int, rate: int, counter: str) -> None:
    """Record as a service does: `rate` events a second, or as fast as it goes; the count so far is in a file."""
    dashcam.init()
    logger = dashcam.get_logger("cars.api")
    with open(counter, "r+b") as file, mmap.mmap(file.fileno(), 8) as count:  # noqa: PTH123
        started_s = time.monotonic()
        for number in range(1, events + 1):
            logger.info(MESSAGE, **FIELDS)
            if rate and number % max(1, int(rate * BURST_S)) == 0:
                count[:8] = struct.pack("<q", number)
                time.sleep(max(0.0, started_s + number / rate - time.monotonic()))
        count[:8] = struct.pack("<q", events)


def recorder(environment: dict[str, str], counter: Path, events: int, rate: int = 0) -> subprocess.Popen:
    counter.write_bytes(bytes(8))
    command = [sys.executable, "-m", "benchmarks.shipper", "record", str(events), str(rate), str(counter)]
    return subprocess.Popen(command, env=environment)


def drain(environment: dict[str, str]) -> tuple[float, float]:
    """Processor and wall seconds of a shipper that ships what there is."""
    started_s, command = time.monotonic(), [sys.executable, "-m", "dashcam", "ship", "--drain"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"the shipper ended with {process.returncode}: {log.read()}")
    return used.ru_utime + used.ru_stime, time.monotonic() - started_s


def delivered(folder: Path, route: str) -> int:
    found = checkpoint.load(folder / "positions").get(route)
    return found.delivered if found else 0


def cost(route: str, full: Path, events: int) -> dict[str, float]:
    """What an event costs a shipper, beyond its start."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        environment = environment_for(Path(name), route, stack)
        empty_s, _ = drain(environment)
        shutil.copytree(full / "spool", Path(name) / "spool", dirs_exist_ok=True)
        used_s, took_s = drain(environment)
        arrived = delivered(Path(name), route)
    if arrived != events:
        raise SystemExit(f"{route}: {arrived:,} of {events:,} events")
    return {"CPU µs/event": 1e6 * (used_s - empty_s) / events, "events/s": events / took_s}


def lag(route: str, rate: int, seconds: float) -> dict[str, float]:
    """How far a shipper is behind a service, what it takes of a core, and its memory in the end."""
    events = int(rate * seconds)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, counter = Path(name), Path(name) / "count"
        environment = environment_for(folder, route, stack)
        shipper = subprocess.Popen(
            [sys.executable, "-m", "dashcam", "ship"], env=environment, stderr=subprocess.DEVNULL
        )
        while not any((folder / "positions").glob("*")):  # it starts
            time.sleep(LOOK_S)
        service = recorder(environment, counter, events, rate)
        behind, started_s, before_s = [], time.monotonic(), used_s(shipper)
        while (arrived := delivered(folder, route)) < events:
            behind.append((struct.unpack("<q", counter.read_bytes())[0] - arrived) / rate)
            if time.monotonic() - started_s > 5 * seconds + 60:
                print(f"{route}: {arrived:,} of {events:,} events after {5 * seconds + 60:.0f} s, at {rate:,} a second")
                break
            time.sleep(LOOK_S)
        share = (used_s(shipper) - before_s) / (time.monotonic() - started_s)
        memory = peak_mib(shipper)
        service.wait()
        shipper.terminate()
        shipper.wait()
    return {
        "lag s, median": median(behind),
        "lag s, most": max(behind),
        "% of a core": 100 * share,
        "MiB": memory,
    }


def peak_mib(process: subprocess.Popen) -> float:
    """The most memory that a process has had; what `wait4` says is never less than its parent had at its start."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15, help="of each rate; 0 leaves them out")
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--quick", action="store_true", help="50,000 events, 2 rounds, 5 seconds")
    given = parser.parse_args()
    if given.quick:
        given.events, given.rounds, given.seconds = 50_000, 2, 5
    print_machine("orjson", "requests", "ormsgpack")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        full = Path(name)
        recorder(environment_for(full, "local", stack), full / "count", given.events).wait()
        print(f"{given.events:,} events, {given.rounds} interleaved rounds: median [least-most]")
        figures = interleave(given.rounds, {route: partial(cost, route, full, given.events) for route in SERVERS})
    print_table(figures)
    if given.seconds:
        print(f"beside a service that records, {given.seconds:g} s of each rate:")
        ways = {(route, rate): lag(route, rate, given.seconds) for rate in given.rates for route in SERVERS}
        print_table({f"{route}, {rate:,} events/s": [figures] for (route, rate), figures in ways.items()})
    return verdict(
        judge(f"CPU µs of an event shipped to {route}", middle(figures[route], "CPU µs/event"), at_most=most)
        for route, most in MOST_US.items()
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        record(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main())
