"""What a caller feels of a backend that is dead or hangs: nothing, for the shipper is another process.

Three services under gunicorn, asked in turns, each with a shipper beside it: to a server that takes everything, to a
port where nobody listens, and to a server that accepts connections and never says a word.

    python -m benchmarks.dead_backend [--quick]
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.report import interleave, judge, print_machine, print_table, ratio
from benchmarks.served import Client, served

from dashcam.loggly_stand_in import StandIn

PERCENTILES = {"p50 ms": 0.5, "p99 ms": 0.99, "p99.9 ms": 0.999}


@contextmanager
def backend(state):
    """The address of a backend in this state."""
    if state == "up":
        with StandIn() as stand_in:
            yield stand_in.url
    elif state == "dead":
        yield "http://127.0.0.1:9"  # the port of a service that nobody runs any more
    else:
        with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def shipper(folder, url):
    environment = os.environ | {
        "DASHCAM_DIR": str(folder),
        "LOG_BACKEND": "loggly",
        "LOGGLY_TOKEN": "t",
        "LOGGLY_URL": url,
    }
    command = [sys.executable, "-m", "dashcam.cli", "ship"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(client, count):
    took_s = sorted(client.ask(count))
    return {name: 1e3 * took_s[int(count * part)] for name, part in PERCENTILES.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (5, 1_000) if parser.parse_args().quick else (21, 5_000)
    print_machine("flask", "gunicorn", "requests")
    ways = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for state in ("up", "dead", "hanging"):
            url = stack.enter_context(backend(state))
            stack.enter_context(shipper(Path(folder) / state, url))
            port, _ = stack.enter_context(served("recorded", Path(folder) / state))
            ways[state] = partial(measure, Client(port), count)
        figures = interleave(rounds, ways)
    print(f"a caller's times, {rounds} interleaved rounds of {count:,} requests, median [least-most]")
    print_table(figures)
    return 0 if all([*judged(figures)]) else 1


def judged(figures):
    for state in ("dead", "hanging"):
        for name in PERCENTILES:
            times = ratio(figures[state], figures["up"], name)
            yield judge(
                f"caller's {name.split()[0]} with the backend {state}, times that with it up", times, at_most=1.05
            )


if __name__ == "__main__":
    sys.exit(main())
