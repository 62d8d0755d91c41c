"""Run the benchmarks, and gather every promise they judge: `python -m benchmarks [--quick] [--record] [NAME …]`."""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import JUDGED, MISSED

NAMES = (
    "log_call",
    "log_latency",
    "hostile_text",
    "stdlib_call",
    "flask_request",
    "spans",
    "post_cars",
    "startup",
    "asgi",
    "dead_backend",
    "local_store",
    "lookup",
    "search_all",
    "shipper",
    "idle_shipper",
    "positions",
    "overview",
    "forward",
    "loggly",
    "viewer",
    "first_paint",
    "clips",
)


RECORD = Path(__file__).parents[1] / "docs" / "benchmarks.md"
SECTION = re.compile(r"^## (\w+)\n\n```text\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
HEAD = """# Benchmarks

`make bench-record` writes this page; `make bench` prints the same figures. The first table compares each promise with
its latest measurement: "missed" means that the figure is worse than its bound. Below it, each benchmark has its full
output. `benchmarks/NAME.py` explains how it measures. Compared programs take turns, so that other work of the machine
affects all of them, and the median of the rounds decides about a promise.

| promise | figure | bound | |
|---|---|---|---|
"""


def run(name, *, is_quick):
    """The exit status of one benchmark, and what it printed."""
    options = ["--quick"] if is_quick and "--quick" in (Path(__file__).parent / f"{name}.py").read_text() else []
    printed = ""
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}", *options], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            printed += line
    return process.returncode, printed


def promises_in(printed):
    return [line.removeprefix(JUDGED).strip() for line in printed.splitlines() if line.startswith(JUDGED)]


def recorded():
    """What was written down before, by benchmark."""
    return dict(SECTION.findall(RECORD.read_text())) if RECORD.exists() else {}


def record(outputs):
    """Write down what was measured; a benchmark that was not run keeps its former figures."""
    day = time.strftime("%Y-%m-%d")
    known = recorded() | {name: f"{day}\n{printed.strip()}" for name, printed in outputs.items()}
    told = {name: known[name] for name in NAMES if name in known}
    rows = [f"| {promise} |" for printed in told.values() for promise in promises_in(printed)]
    parts = [f"## {name}\n\n```text\n{printed}\n```" for name, printed in told.items()]
    RECORD.write_text(HEAD + "\n".join(rows) + "\n\n" + "\n\n".join(parts) + "\n")


def main():
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], default=[], help="all, unless some are named")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, where a benchmark has such a form")
    parser.add_argument("--record", action="store_true", help=f"write the figures to docs/{RECORD.name}")
    arguments = parser.parse_args()
    outputs, failed = {}, []
    for name in arguments.name or NAMES:
        print(f"\n== {name}, {time.strftime('%H:%M:%S')}", flush=True)
        status, outputs[name] = run(name, is_quick=arguments.quick)
        failed += [name] if status not in {0, MISSED} else []
    print("\n== promises")
    for printed in outputs.values():
        print("\n".join(promises_in(printed)))
    if failed:
        print(f"ended early: {', '.join(failed)}", file=sys.stderr)
    if arguments.record:
        record(outputs)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
