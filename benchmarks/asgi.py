"""What Dashcam adds to an ASGI request, beside OpenTelemetry's own package for ASGI.

The application answers at once. Plain; with the package, a provider, and an exporter that throws spans away; and
recorded by Dashcam, spool included. In one process without a server, in turns. Both by the stable conventions, which
Dashcam asks for: a process that has asked OpenTelemetry before gets the former ones from both.

    python -m benchmarks.asgi [--quick]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.disk import make_room
from benchmarks.report import interleave, judge, print_machine, print_table, verdict
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

import dashcam
from dashcam.record.servers.server import prefer_stable_conventions
from dashcam.settings import RecordSettings

CPU = "CPU µs a request"
# What uvicorn hands over for a GET of httpx.
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 4242),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "path": "/cars/7",
    "raw_path": b"/cars/7",
    "query_string": b"",
    "headers": [
        (b"host", b"127.0.0.1:8000"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"user-agent", b"python-httpx/0.28.1"),
    ],
}
REQUEST = {"type": "http.request", "body": b"", "more_body": False}


async def plain(_, __, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


class Discarding(SpanExporter):
    def export(self, _):
        return SpanExportResult.SUCCESS


def instrumented():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Discarding()))
    return OpenTelemetryMiddleware(plain, tracer_provider=provider)


async def serve(app, count):
    async def receive():
        return REQUEST

    async def send(_):
        return

    for _ in range(count):
        await app(dict(SCOPE), receive, send)


def measure(folder, app, count):
    make_room(folder)
    started_s = time.process_time()
    asyncio.run(serve(app, count))
    return {CPU: 1e6 * (time.process_time() - started_s) / count}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds, count = (7, 1_000) if parser.parse_args().quick else (31, 3_000)
    prefer_stable_conventions()
    print_machine("opentelemetry-sdk", "opentelemetry-instrumentation-asgi")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = instrumented()
        dashcam.init("bench", settings=RecordSettings(dir=folder, spool_limit_bytes=1 << 40, console="off"))
        ways = {"plain": plain, "instrumented": package, "recorded": dashcam.asgi(plain)}
        figures = interleave(rounds, {way: partial(measure, folder, app, count) for way, app in ways.items()})
    print_table(figures)
    rows = zip(*figures.values(), strict=True)
    added = sorted((ours[CPU] - bare[CPU]) / (theirs[CPU] - bare[CPU]) for bare, theirs, ours in rows)
    times = added[len(added) // 2]
    return verdict([judge("CPU that recording adds to an ASGI request, times the package's", times, at_most=0.45)])


if __name__ == "__main__":
    sys.exit(main())
