"""What Dashcam adds to a Flask request, beside OpenTelemetry's own instrumentation.

The garage is plain; instrumented, with an exporter that throws spans away and no logging at all; silent, recorded by
Dashcam with no log call; and recorded, with one log call a request. First without a server, so that nothing but Flask
and telemetry is measured; then under gunicorn, one worker each. All of them run at once and are asked in turns.

    python -m benchmarks.flask_request [--quick]
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.disk import make_room
from benchmarks.in_process import garage
from benchmarks.report import interleave, judge, middle, print_machine, print_table, ratio, verdict
from benchmarks.served import Client, cpu_s, memory_mib, served

FORMS = ("plain", "instrumented", "silent", "recorded")
CPU, RATE, MEMORY = "CPU µs a request", "requests/s", "MiB (PSS)"


def measure_alone(form, folder, count):
    make_room(folder)
    return form.serve(count)


def measure(client, pid, folder, count):
    make_room(folder)
    started_s, used_s = time.perf_counter(), cpu_s(pid)
    client.ask(count)
    took_s, used_s = time.perf_counter() - started_s, cpu_s(pid) - used_s
    return {CPU: 1e6 * used_s / count, RATE: count / took_s, MEMORY: memory_mib(pid)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (5, 1_000) if parser.parse_args().quick else (21, 3_000)
    print_machine("flask", "gunicorn", "opentelemetry-sdk", "opentelemetry-instrumentation-flask")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        homes = {form: Path(name) / form for form in FORMS}
        garages = {form: stack.enter_context(garage(form, home)) for form, home in homes.items()}
        alone = interleave(rounds, {form: partial(measure_alone, garages[form], homes[form], count) for form in FORMS})
    print(f"without a server, {rounds} interleaved rounds of {count:,} requests, median [least-most]")
    print_table(alone)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        homes = {form: Path(name) / form for form in FORMS}
        servers = {form: stack.enter_context(served(form, home)) for form, home in homes.items()}
        ways = {form: partial(measure, Client(port), pid, homes[form], count) for form, (port, pid) in servers.items()}
        figures = interleave(rounds, ways)
    print("under gunicorn, one worker, one connection, as many:")
    print_table(figures)
    return verdict(judged(alone, figures))


def judged(alone, figures):
    added_us = {form: middle(alone[form], CPU) - middle(alone["plain"], CPU) for form in FORMS}
    print(f"the package alone adds {added_us['instrumented']:.0f} µs, all of Dashcam {added_us['recorded']:.0f}")
    yield judge("CPU µs that all telemetry adds to a Flask request", added_us["recorded"], at_most=80)
    plain, instrumented, silent, recorded = (figures[form] for form in FORMS)
    yield judge(
        "requests/s of an empty handler, times those without telemetry", ratio(silent, plain, RATE), at_least=0.8
    )
    yield judge("requests/s, times those of the package alone", ratio(recorded, instrumented, RATE), at_least=1)
    added_mib = middle(recorded, MEMORY) - middle(plain, MEMORY)
    yield judge("MiB that Dashcam adds to a worker", added_mib, at_most=16)


if __name__ == "__main__":
    sys.exit(main())
