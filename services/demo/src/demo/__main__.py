"""Show what Dashcam does, on this machine: one car request that goes well and one that fails in parts, as stories.

Starts a PostgreSQL, the services cars and parts, a shipper and the viewer on free ports, sends both requests through
the public API and prints what was recorded of them: the request that fails with its DEBUG lines, the other without
(DASHCAM_SHIP_LEVEL). It stays until Ctrl-C, or with --once ends by itself; nothing is
left. Events go where LOG_BACKEND says; DASHCAM_DIR is a temporary folder unless it is set.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from demo.errors import DemoError
from demo.stack import Addresses, start_stack

ORDERS = {"VW Golf": "a car that is built", "DMC DeLorean": "a car that parts has no body for"}
CLIPS = {"LOG_LEVEL": "DEBUG", "DASHCAM_SHIP_LEVEL": "INFO", "LOG_LEVELS": "urllib3=WARNING,werkzeug=WARNING"}
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ANSWER_S = 30  # cars takes 10 s at most
STORY_S = 60  # a hosted backend takes its time until what it accepted is found
POLL_S = 0.1
USAGE, UNREACHABLE = 2, 3  # exit statuses of dashcam

DASHCAM = [sys.executable, "-m", "dashcam"]


def main() -> int:
    """Run the demo; return its exit status."""
    parser = argparse.ArgumentParser("dashcam demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after the stories")
    parser.add_argument("--json", action="store_true", help="print the stories as one JSON object a line")
    arguments = parser.parse_args()
    try:
        run(once=arguments.once, is_json=arguments.json)
    except DemoError as error:
        print(f"dashcam: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    return 0


def run(*, once: bool, is_json: bool) -> None:
    """Start everything, show both stories, and stay."""
    folder = Path(tempfile.mkdtemp(prefix="dashcam-demo-"))
    try:
        os.environ.setdefault("DASHCAM_DIR", str(folder / "events"))
        for variable, value in CLIPS.items():
            os.environ.setdefault(variable, value)
        _check_store()
        with _ended_by_signals(), start_stack(folder, _report) as addresses:
            ids = [_show(addresses, name, is_json=is_json) for name in ORDERS]
            if not once:
                _advise(addresses, ids)
                with suppress(KeyboardInterrupt):
                    signal.pause()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_store() -> None:
    """Raise `DemoError` where stories could not be looked up; that a store is not there yet does not matter."""
    done = subprocess.run([*DASHCAM, "search", "--limit", "1"], capture_output=True, text=True, check=False)
    if done.returncode == USAGE:
        raise DemoError(done.stderr.strip().removeprefix("dashcam: "), USAGE)


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


def _report(name: str, what: str) -> None:
    _say(f"  {name:11} {what}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(addresses: Addresses, name: str, *, is_json: bool) -> str:
    """Order a car and print the story of it; return the request ID."""
    _say(f"\n$ {_curl(addresses, name)}   # {ORDERS[name]}")
    status, request_id = _order(addresses.cars, name)
    _say(f"{status}, request {request_id}\n")
    story = _wait_for_story(request_id)
    if is_json:
        print(story, flush=True)
    else:
        subprocess.run([*DASHCAM, "trace", request_id], check=False)
    return request_id


def _curl(addresses: Addresses, name: str) -> str:
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


def _wait_for_story(request_id: str) -> str:
    """Return the story of a request as JSON, as soon as all of it is found."""
    end, said = time.monotonic() + STORY_S, ""
    while time.monotonic() < end:
        done = subprocess.run([*DASHCAM, "trace", request_id, "--json"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and is_whole(json.loads(done.stdout)):
            return done.stdout.strip()
        said = done.stderr.strip()
        time.sleep(POLL_S)
    raise DemoError(f"the story of request {request_id} was not found within {STORY_S} s. {said}", UNREACHABLE)


def is_whole(story: dict[str, Any]) -> bool:
    """Return whether the request's own span is there, that of each call's server, and the clip of a failure."""
    events = [entry["event"] for entry in story["entries"] if entry["event"]]
    served = {
        event.get("parent", {}).get("id")
        for event in events
        if event.get("processor", {}).get("event") == "transaction"
    }
    calls = {
        event["span"]["id"]
        for event in events
        if event.get("span", {}).get("kind") == "client" and event.get("url", {}).get("full")
    }
    has_clip = any(event.get("event", {}).get("reason") for event in events)
    is_kept = story.get("outcome") == "failure" and {name: os.environ.get(name) for name in CLIPS} == CLIPS
    return None in served and calls <= served and (has_clip or not is_kept)


def _advise(addresses: Addresses, ids: list[str]) -> None:
    dashcam = "dashcam" if shutil.which("dashcam") else str(Path(sys.executable).with_name("dashcam"))
    _say(f"""
Both stories in a browser: {addresses.viewer}
                           {addresses.viewer}story?{urlencode({"id": ids[1]})}

What to try in another terminal:
  export DASHCAM_DIR={os.environ["DASHCAM_DIR"]}
  {dashcam} trace {ids[1]}
  {dashcam} search level:error
  {dashcam} tail
  {_curl(addresses, "Fiat 500")}
  curl {addresses.cars}/cars

Ctrl-C ends it all.""")


if __name__ == "__main__":
    sys.exit(main())
