"""The frame of a program that tests for as long as it is told: its command line, its report, and how a test runs it."""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path


def command_line(name, description):
    """Return the parser of `python -m tests.NAME`, which can write a report."""
    parser = argparse.ArgumentParser(f"python -m tests.{name}", description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the result as JSON")
    return parser


def machine():
    """Return what a result was found on."""
    return f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs"


def write(result, file):
    """Write a result to the file of `--report`, if there is one."""
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n")


def publish(result, file):
    """Print a result, a row each figure, and write it."""
    for name, value in result.items():
        print(f"{name:26} {value:,}" if isinstance(value, int) else f"{name:26} {value}")
    write(result, file)


def run(name, *options):
    """Run one as a test does, and return how it ended."""
    command = [sys.executable, "-m", f"tests.{name}", *options]
    return subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
