"""What Dashcam adds to a Flask request under gunicorn, beside OpenTelemetry's own instrumentation.

One worker each of the garage: plain; instrumented, with an exporter that throws spans away and no logging at all; and
recorded, with everything on and one log call a request. All three run at once and are asked in turns.

    python -m benchmarks.flask_request [--quick]
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.report import interleave, judge, middle, print_machine, print_table, ratio
from benchmarks.served import Client, cpu_s, memory_mib, served

FORMS = ("plain", "instrumented", "recorded")
CPU, RATE, MEMORY = "CPU µs a request", "requests/s", "MiB (PSS)"


def measure(client, pid, count):
    started_s, used_s = time.perf_counter(), cpu_s(pid)
    client.ask(count)
    took_s, used_s = time.perf_counter() - started_s, cpu_s(pid) - used_s
    return {CPU: 1e6 * used_s / count, RATE: count / took_s, MEMORY: memory_mib(pid)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (5, 1_000) if parser.parse_args().quick else (21, 3_000)
    print_machine("flask", "gunicorn", "opentelemetry-sdk", "opentelemetry-instrumentation-flask")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {form: stack.enter_context(served(form, Path(folder) / form)) for form in FORMS}
        ways = {form: partial(measure, Client(port), pid, count) for form, (port, pid) in servers.items()}
        figures = interleave(rounds, ways)
    print(f"one worker, one connection, {rounds} interleaved rounds of {count:,} requests, median [least-most]")
    print_table(figures)
    return 0 if all([*judged(figures)]) else 1


def judged(figures):
    plain, instrumented, recorded = (figures[form] for form in FORMS)
    yield judge("requests/s, times those of the package alone", ratio(recorded, instrumented, RATE), at_least=1)
    added_us = middle(recorded, CPU) - middle(plain, CPU)
    yield judge("CPU µs that all telemetry adds to a request", added_us, at_most=80)
    added_mib = middle(recorded, MEMORY) - middle(plain, MEMORY)
    yield judge("MiB that Dashcam adds to a worker", added_mib, at_most=16)


if __name__ == "__main__":
    sys.exit(main())
