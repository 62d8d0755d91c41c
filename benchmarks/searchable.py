"""Time from a log call until the event is found in a real Elasticsearch with its default refresh of 1 s.

A recorder process, `dashcam ship` and the engine share the machine; `elk` goes through fluentd with our fluent.conf
where `fluentd` is on the PATH, else through the stand-in of the tests. The engine is searched without a pause.

    python -m benchmarks.searchable [events] [rounds]
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import quantiles

import requests
from benchmarks.report import interleave, middle, print_machine, print_table
from tests.engines import engine
from tests.engines.streams import new_namespace, set_up, settings_for
from tests.fluentd.runner import SHARED_KEY, Fluentd
from tests.hosted.processes import Stage
from tests.selfhosted.relay import RelayProcess

from dashcam.destinations.elasticsearch.client import logs_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.event import parse_time

CACHE = Path(".pytest_cache/d/engines")
PER_S = 50
PATIENCE_S = 30
P50_MS, P95_MS = 800, 1500  # what it may take at most


def main(events: int = 300, rounds: int = 3) -> int:
    print_machine("requests", "orjson")
    CACHE.mkdir(parents=True, exist_ok=True)
    has_fluentd = bool(shutil.which("fluentd"))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        node = engine.start(engine.elasticsearch_command(CACHE.resolve(), home), home)
        stack.callback(node.stop)
        middleman = fluentd_version() if has_fluentd else "fluentd's stand-in"
        ways = {
            "elasticsearch": partial(measure, node.url, "elasticsearch", straight, events),
            f"elk, by {middleman}": partial(
                measure, node.url, "elk", through_fluentd if has_fluentd else through_relay, events
            ),
        }
        print(f"Elasticsearch {engine.ELASTICSEARCH_VERSION}, {events} events at {PER_S} a second, {rounds} rounds:")
        figures = interleave(rounds, ways)
    print_table(figures)
    return judge(figures)


def fluentd_version() -> str:
    return subprocess.run(["fluentd", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def measure(url: str, route: str, through: Callable[..., dict[str, str]], events: int) -> dict[str, float]:
    """Milliseconds from log call to hit, of one recorder's events."""
    settings = settings_for(url, new_namespace())
    set_up(settings)
    given = {"ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": settings.namespace}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        given |= through(stack, folder, settings)
        stage = stack.enter_context(Stage(folder / "state", given))
        stage.start_shipper(route)
        stage.record(events, PER_S)
        took_ms = sorted(look(settings, events))
        stage.stop_shipper()
    cuts = quantiles(took_ms, n=20)
    return {"p50, ms": cuts[9], "p95, ms": cuts[18], "most, ms": took_ms[-1]}


def look(settings: Options, events: int) -> list[float]:
    """How old each event was when a search first gave it."""
    found: dict[str, float] = {}
    deadline = time.monotonic() + PATIENCE_S
    url = f"{settings.url}/{logs_stream(settings.namespace)}/_search"
    asked = {"size": 100, "sort": [{"@timestamp": "desc"}], "_source": ["@timestamp"]}
    with requests.Session() as session:
        while len(found) < events:
            assert time.monotonic() < deadline, f"{len(found)} of {events} events within {PATIENCE_S} s"
            answer = session.post(url, json=asked, params={"ignore_unavailable": "true"}, timeout=10)
            now_ns = time.time_ns()
            for hit in answer.json()["hits"]["hits"] if answer.ok else ():  # the stream is being made meanwhile
                found.setdefault(hit["_id"], (now_ns - parse_time(hit["_source"]["@timestamp"])) / 1e6)
    return list(found.values())


def straight(_stack, _folder, _settings) -> dict[str, str]:
    return {}


def through_fluentd(stack: ExitStack, folder: Path, settings: Options) -> dict[str, str]:
    fluentd = Fluentd(folder, settings.url, settings.namespace).start()
    stack.callback(fluentd.stop)
    return {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}", "FLUENTD_SHARED_KEY": SHARED_KEY}


def through_relay(stack: ExitStack, folder: Path, settings: Options) -> dict[str, str]:
    relay = RelayProcess(folder / "relay", settings.url, settings.namespace)
    return stack.enter_context(relay).environment


def judge(figures: dict[str, list[dict[str, float]]]) -> int:
    """0 when every way is as fast as it has to be."""
    return int(any(middle(way, "p50, ms") > P50_MS or middle(way, "p95, ms") > P95_MS for way in figures.values()))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
