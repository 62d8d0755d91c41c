"""What a caller feels of a backend that is dead or hangs: nothing, for the shipper is another process.

Three services under gunicorn, asked in turns, each with a shipper beside it: to a server that takes everything, to a
port where nobody listens, and to a server that accepts connections and never says a word. A percentile is that of all
requests of a state together; how far it would lie from here if the rounds had been others is told by drawing rounds
again and again (bootstrap).

    python -m benchmarks.dead_backend [--quick]
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

from benchmarks.report import judge, print_machine, verdict
from benchmarks.served import Client, served

DASHCAM = (sys.executable, "-m", "dashcam")
STATES = ("up", "dead", "hanging")
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
SETTLE_S = 0.3
DRAWINGS = 200


@contextmanager
def backend(state, folder):
    """The settings that send to a backend in this state."""
    if state == "up":
        # In a process of its own: what it does is not to slow the caller down.
        command = [*DASHCAM, "fake-loggly", "--json", "--journal", str(folder / "journal")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield json.loads(process.stdout.readline())
            finally:
                process.terminate()
    elif state == "dead":
        yield {"LOGGLY_URL": "http://127.0.0.1:9"}  # the port of a service that nobody runs any more
    else:
        with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
            yield {"LOGGLY_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}


@contextmanager
def shipper(folder, settings):
    environment = os.environ | {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "loggly", "LOGGLY_TOKEN": "t"} | settings
    process = subprocess.Popen([*DASHCAM, "ship"], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def delivered(folder):
    """How many events the shipper of a folder has brought to its backend."""
    environment = os.environ | {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "loggly"}
    told = subprocess.run([*DASHCAM, "status", "--json"], env=environment, capture_output=True, text=True, check=False)
    (route,) = json.loads(told.stdout)["routes"].values()
    return route["delivered"]


def ask(client, count):
    """Milliseconds that each request took, once the shippers have done what the one before gave them to do."""
    time.sleep(SETTLE_S)
    return [1e3 * took_s for took_s in client.ask(count)]


def percentile(rounds, part):
    """The value below which this part of all values of the rounds lies."""
    return sorted(chain.from_iterable(rounds))[int(sum(map(len, rounds)) * part)]


def ratios(rounds, part):
    """How many times that with the backend up a percentile is, and between which values 95 of 100 drawings have it."""
    up, other = rounds
    drawn = []
    for _ in range(DRAWINGS):
        places = random.choices(range(len(up)), k=len(up))
        drawn.append(percentile([other[at] for at in places], part) / percentile([up[at] for at in places], part))
    drawn.sort()
    return percentile(other, part) / percentile(up, part), drawn[int(0.025 * DRAWINGS)], drawn[int(0.975 * DRAWINGS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (6, 1_000) if parser.parse_args().quick else (60, 2_000)
    print_machine("flask", "gunicorn", "requests")
    times = {state: [] for state in STATES}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clients = {}
        for state in STATES:
            home = Path(folder) / state
            home.mkdir()
            stack.enter_context(shipper(home, stack.enter_context(backend(state, home))))
            port, _ = stack.enter_context(served("recorded", home))
            clients[state] = Client(port)
            ask(clients[state], count)  # to warm up
        for _ in range(rounds):
            for state in random.sample(STATES, len(STATES)):
                times[state].append(ask(clients[state], count))
        brought = {state: delivered(Path(folder) / state) for state in STATES}
    print("events delivered: " + ", ".join(f"{count:,} {state}" for state, count in brought.items()))
    assert [state for state, count in brought.items() if count] == ["up"], "a backend is not in the state it should be"
    print(f"a caller's milliseconds, {rounds} interleaved rounds of {count:,} requests, all rounds together")
    print(f"{'':8}" + "".join(f"{name:>10}" for name in PERCENTILES))
    for state, of_state in times.items():
        print(f"{state:8}" + "".join(f"{percentile(of_state, part):10.2f}" for part in PERCENTILES.values()))
    return verdict(judged(times))


def judged(times):
    for state in STATES[1:]:
        for name, part in PERCENTILES.items():
            figure, least, most = ratios((times["up"], times[state]), part)
            print(f"{name} {state}: {figure:.3f} times that with the backend up [{least:.3f}-{most:.3f}]")
            yield judge(f"caller's {name} with the backend {state}, times that with it up", figure, at_most=1.05)


if __name__ == "__main__":
    sys.exit(main())
