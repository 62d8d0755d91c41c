"""Run the benchmarks, and gather every promise they judge: `python -m benchmarks [--quick] [NAME …]`."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import JUDGED

NAMES = (
    "log_call",
    "stdlib_call",
    "flask_request",
    "dead_backend",
    "local_store",
    "lookup",
    "forward",
    "loggly",
    "viewer",
)


def main():
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], default=NAMES, help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, where a benchmark has such a form")
    arguments = parser.parse_args()
    promises, failed = [], []
    for name in arguments.name:
        print(f"\n== {name}, {time.strftime('%H:%M:%S')}", flush=True)
        is_quick = arguments.quick and "--quick" in (Path(__file__).parent / f"{name}.py").read_text()
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if is_quick else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                promises += [line.removeprefix(JUDGED).strip()] if line.startswith(JUDGED) else []
        failed += [name] if process.returncode else []
    print("\n== promises")
    print("\n".join(promises))
    if failed:
        print(f"not kept, or ended early: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
