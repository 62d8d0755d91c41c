"""Kill services and shipper amid many requests, and look for the DEBUG lines of those that failed.

One request of a hundred fails. All of its lines have to arrive from both services, none of any other request, and none
twice; a request during which a service was killed may have either. Each event has to be in one place of the account.
Exit status 1 if something of this is not so: `python -m tests.kills.clips [--requests N] [--kills N]`.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from ..processes import dashcam
from .clip_traffic import STEPS, Traffic, fails

EVERY_S = 10  # a line of progress
ALARMS = ("missing", "double", "changed", "invented", "gaps")


def judge(traffic):
    """Count what became of the lines and of the events."""
    found = traffic.arrived()
    wanted = {
        f"{service} {number} {step}"
        for number in range(traffic.requests)
        if fails(number) and number not in traffic.interrupted
        for service in ("cars", "parts")
        for step in range(STEPS)
    }
    others = {message for message in found if int(message.split()[1]) not in traffic.interrupted} - wanted
    status = dashcam("status", "--json", "--full", folder=traffic.folder / "state", LOG_BACKEND="local")
    account = json.loads(status.stdout)
    route = account["routes"]["local"]
    parts = sum(route[name] for name in ("earlier", "delivered", "held", "expired", "waiting", "dead"))
    audit = dashcam("audit", "--json", "--since", "7d", folder=traffic.folder / "state", LOG_BACKEND="local")
    audited = json.loads(audit.stdout)["local"]
    if not audited["segments"]:  # on a slow machine each writer may be killed before it seals one: nothing to audit
        print("no segment was sealed before its writer was killed")
    return {
        "lines of failed requests": len(wanted),
        "of these missing": len(wanted - found.keys()),
        "lines of other requests": len(others),
        "lines that are there twice": sum(count > 1 for count in found.values()),
        "events recorded": account["recorded"],
        "of these in no place": account["recorded"] - parts,
        "waiting": route["waiting"],
        "stated": audited["expected"],
        "alarms of an audit": sum(len(audited[kind]) for kind in ALARMS),
    }


def is_well(result):
    """Return whether nothing is missing, too much, double, or in no place."""
    faults = (
        "of these missing",
        "lines of other requests",
        "lines that are there twice",
        "of these in no place",
        "waiting",
    )
    return not any(result[name] for name in (*faults, "alarms of an audit"))


def show_progress(traffic):
    """Say from time to time how far it is."""
    began_s = shown_s = time.monotonic()

    def show():
        nonlocal shown_s
        if time.monotonic() > shown_s + EVERY_S:
            shown_s = time.monotonic()
            print(
                f"{shown_s - began_s:6.0f} s: {traffic.answered():,} requests, {traffic.kills.total():,} kills",
                flush=True,
            )

    return show


def main():
    """Kill, and judge; an exit status."""
    parser = argparse.ArgumentParser("python -m tests.kills.clips", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--requests", type=int, default=1_000_000, metavar="N", help="how many (1,000,000)")
    parser.add_argument("--kills", type=int, default=1_000, metavar="N", help="how many (1,000)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the result as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clips-") as name:
        os.environ["DASHCAM_DIR"] = ""
        began_s, traffic = time.monotonic(), Traffic(Path(name), options.requests, options.kills)
        try:
            traffic.run(show_progress(traffic))
        finally:
            traffic.stop()
        result = {"requests": options.requests, "kills": dict(traffic.kills)} | judge(traffic)
    result |= {"seconds": round(time.monotonic() - began_s)}
    result |= {"machine": f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs"}
    for name, value in result.items():
        print(f"{name:28} {value:,}" if isinstance(value, int) else f"{name:28} {value}")
    if options.report:
        options.report.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if is_well(result) else 1


if __name__ == "__main__":
    sys.exit(main())
