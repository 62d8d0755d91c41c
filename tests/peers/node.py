"""Programs from the npm registry, run by node; both are asked for, not assumed."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def require_node():
    """The path of node with the packages of package.json beside it; skips where there is no node."""
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        pytest.skip("needs node and npm: apt-get install nodejs npm, or from nodejs.org")
    with (FOLDER / "package.json").open() as wanted:
        fcntl.flock(wanted, fcntl.LOCK_EX)
        installed = FOLDER / "node_modules" / ".installed.json"
        if not installed.exists() or installed.read_text() != wanted.read():
            command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
            subprocess.run(command, cwd=FOLDER, check=True, timeout=100)
            shutil.copy(FOLDER / "package.json", installed)
    return node


class FluentOrgServer:
    """A running `forward_server.mjs`."""

    def __init__(self, **options):
        command = [require_node(), "forward_server.mjs", json.dumps(options)]
        self._process = subprocess.Popen(
            command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.port = int(self._process.stdout.readline())

    def entries(self):
        """Tag, [seconds, nanoseconds] and record of all entries so far, in the order they came."""
        return self._ask("entries")

    def count(self):
        """How many entries it holds."""
        return self._ask("count")

    def _ask(self, what):
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self):
        self._process.kill()
        self._process.communicate()


class Vega:
    """A running `draw_vega.mjs`."""

    def __init__(self):
        command = [require_node(), "draw_vega.mjs"]
        self._process = subprocess.Popen(
            command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def draw(self, spec, width, height):
        """What the package vega makes of a specification: SVG, warnings, and the data sets."""
        self._process.stdin.write(f"{json.dumps({'spec': spec, 'width': width, 'height': height})}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self):
        self._process.kill()
        self._process.communicate()
