"""The page docs/adding-a-destination.md, run as it is."""

import os
import re
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distribution(tmp_path_factory):
    """A folder with the files of the page, installed as far as `importlib.metadata` can tell."""
    folder = tmp_path_factory.mktemp("webhook")
    page = (ROOT / "docs" / "adding-a-destination.md").read_text()
    for name, text in re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", page, re.DOTALL):
        (folder / name).write_text(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / "dashcam_webhook-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (name, target), *_ = project["entry-points"]["dashcam.destinations"].items()
    (info / "entry_points.txt").write_text(f"[dashcam.destinations]\n{name} = {target}\n")
    return folder


def run(arguments, folder, **environment):
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} | environment
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_suite_of_the_page_passes(distribution):
    """The backend of the page is a backend."""
    done = run(["pytest", "-q", "-p", "no:cacheprovider", "test_webhook.py"], distribution)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b(\d+) passed", done.stdout)


def test_its_name_is_a_route(distribution, tmp_path):
    """`LOG_BACKEND` takes the name of the entry point, and events get there."""
    arrived = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            arrived.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        where = {"DASHCAM_DIR": str(tmp_path), "WEBHOOK_URL": f"http://127.0.0.1:{server.server_port}/"}
        run(["tests.one_line"], distribution, **where)
        done = run(["dashcam", "ship", "--drain"], distribution, LOG_BACKEND="webhook", **where)
        server.shutdown()
        thread.join()

    assert done.returncode == 0, done.stderr
    assert b'"message":"one line"' in b"".join(arrived)


def test_an_unknown_name_is_reported(distribution, tmp_path):
    """A route nobody offers is a fault of the settings, and the names that exist are listed."""
    done = run(["dashcam", "ship"], distribution, DASHCAM_DIR=str(tmp_path), LOG_BACKEND="logly")

    assert done.returncode == 2
    assert (
        "LOG_BACKEND='logly' is not a backend. Known: elasticsearch, elk, local, loggly, stdout, webhook."
        in done.stderr
    )


def test_its_options_are_settings(distribution, tmp_path):
    """The command shows them with all others, and checks them."""
    shown = run(["dashcam", "settings"], distribution, DASHCAM_DIR=str(tmp_path))
    wrong = run(["dashcam", "ship"], distribution, LOG_BACKEND="webhook", WEBHOOK_URL="here", DASHCAM_DIR=str(tmp_path))

    assert "WEBHOOK_URL=\n    The address that events are posted to." in shown.stdout
    assert (wrong.returncode, wrong.stderr.partition(" cannot")[0]) == (2, "dashcam: WEBHOOK_URL='here'")
