"""The checks of the services that record on this machine: notes on what they do not record."""

from collections.abc import Iterator
from functools import partial

from dashcam.destinations.checks import Check, Note
from dashcam.settings import Settings
from dashcam.ship.inspection.coverage import Coverage, collect_coverage


def service_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check for each service, and one for each thing that it does not record."""
    for coverage in collect_coverage(settings.dir):
        yield Check("recording", coverage.service, partial(_summary, coverage))
        for note in _notes(coverage):
            yield Check("recording", coverage.service, partial(Note, note.seen, note.fix))


def _summary(coverage: Coverage) -> str:
    counts = f"{coverage.requests:,} requests and jobs, {coverage.logs:,} log lines"
    if coverage.bare_logs:
        counts += f" ({coverage.bare_logs:,} outside of any)"
    calls = coverage.answered + coverage.parted.total() + coverage.unanswered.total()
    if calls:
        counts += f", {calls:,} HTTP calls"
    if coverage.unanswered:
        others = ", ".join(f"{address} {count:,}" for address, count in coverage.unanswered.most_common(3))
        counts += f"; no service that records here answered those to {others}"
    return ("runs: " if coverage.is_running else "does not run; its last process: ") + counts


def _notes(coverage: Coverage) -> Iterator[Note]:
    for said, fix in coverage.warnings.items():
        yield Note(said, fix or f"Recorded by the service: dashcam search 'service:{coverage.service} level:warning'")
    if coverage.logs and not coverage.requests:
        yield Note(
            "log lines, but no request or job: no line belongs to a story",
            "Serve what dashcam.init_app(app), wsgi(app) or asgi(app) returns; elsewhere, use dashcam.job(name).",
        )
    elif coverage.bare_meanwhile:
        yield Note(
            f"{coverage.bare_meanwhile:,} log lines without a request ID, recorded while requests were served",
            "Threads that are older than a request lack its ID: use an executor, or dashcam.job(name, headers).",
        )
    for service, count in coverage.parted.items():
        yield Note(
            f"{count:,} calls to {service} began new stories there",
            f"X-Request-ID and traceparent do not arrive: look for a proxy that drops them, for another propagator, "
            f"and for DASHCAM_TRUST_REQUEST_ID=never in {service}.",
        )
