"""The examples, run as their first lines say, and the pages that quote them."""

import contextlib
import os
import re
import subprocess
import sys
import tomllib
from http.client import HTTPConnection
from pathlib import Path

import pytest

from .ports import free_port
from .processes import dashcam, running_dashcam, until

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text()
QUOTES = [
    (page, name, text)
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    for name, text in re.findall(r"<!-- (?:\.\./)?(examples/\S+) -->\n```\w+\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.fixture(scope="module")
def garage(tmp_path_factory):
    """A folder with what the garage recorded of two repairs, one of which failed; by the way of the quickstart."""
    folder, port = tmp_path_factory.mktemp("garage"), free_port()
    command = [sys.executable, "-m", "flask", "--app", str(EXAMPLES / "garage.py"), "run", "--port", port]
    with running_dashcam("run", "--", *command, folder=folder, LOG_BACKEND="local") as running:
        until(lambda: answers(port), "server")
        started = post(port, "/repairs/7", {"X-Request-ID": "repair-7"})
        failed = post(port, "/repairs/13", {})
        # The span ends after the client has its answer: the server must not be killed in between.
        until(lambda: dashcam("trace", "car_id=13", folder=folder, LOG_BACKEND="local").returncode == 0, "story")
        running.terminate()
        running.wait(timeout=60)
    assert (started, failed) == (200, 503)
    return folder


def post(port, path, headers):
    """Return the status of an answer, by a client that adds nothing: a test's process may be a recorded one itself."""
    with contextlib.closing(HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
        connection.request("POST", path, headers=headers)
        return connection.getresponse().status


def answers(port):
    try:
        post(port, "/", {})
    except ConnectionError:
        return False
    return True


def test_a_request_of_the_garage_is_a_story(garage):
    """The label that the handler added leads to the request, its log line and its answer."""
    done = dashcam("trace", "car_id=7", folder=garage, LOG_BACKEND="local")

    assert done.returncode == 0, done.stderr
    assert "request repair-7" in done.stdout
    assert re.search(r"POST /repairs/<int:car_id> → 200 +car_id=7\n.*INFO +repair started +bay=north", done.stdout)


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_pages_show_the_story_as_it_is_drawn(garage, page):
    """But for times and IDs, the drawing on the page is that of `dashcam trace car_id=13`."""
    done = dashcam("trace", "car_id=13", folder=garage, LOG_BACKEND="local")

    drawn = re.search(r"```\n(✗ POST /repairs.*?)```", (ROOT / page).read_text(), re.DOTALL).group(1)
    assert without_times(drawn) == without_times(done.stdout)


def without_times(story):
    """The words of a story: no figures, no IDs, no bars."""
    story = re.sub(r"\d[\d.:-]* ?(?:[mµn]?s|UTC)|[0-9a-f-]{30,}|[━╺╸·]+", "", re.sub(r"(?m)^ .*UTC$", "UTC", story))
    return [line.split() for line in story.splitlines()]


def test_ordinary_logging_calls_of_a_script_are_one_story(tmp_path):
    """The job, and the `logging` calls in it with their fields and the exception."""
    ran = dashcam("run", "--", sys.executable, EXAMPLES / "nightly.py", folder=tmp_path, LOG_BACKEND="local")
    drawn = dashcam("trace", "service=nightly", folder=tmp_path, LOG_BACKEND="local")

    assert ran.returncode == 0, ran.stderr
    rows = [re.sub(" +", " ", line.partition("nightly ")[2].strip()) for line in drawn.stdout.splitlines()[5:]]
    assert [row for row in rows if row] == [
        "nightly import",
        "├╴INFO car 7 has 4 wheels car_id=7",
        "├╴ERROR car 8 left out car_id=8",
        "└╴INFO car 9 has 3 wheels car_id=9",
    ]
    assert "ValueError: invalid literal for int() with base 10: 'four'" in drawn.stdout


def test_the_test_of_the_quickstart_passes(tmp_path):
    """The page's own test, as a user runs it."""
    page = (ROOT / "docs" / "quickstart.md").read_text()
    test = re.search(r"```python\n(from garage import app.*?)```", page, re.DOTALL).group(1)
    (tmp_path / "test_garage.py").write_text(test)

    done = run_pytest(tmp_path, "-o", f"pythonpath={EXAMPLES}", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.fixture(scope="module")
def json_lines(tmp_path_factory):
    """The environment of a process that has the example's distribution installed, as far as importing can tell."""
    folder = tmp_path_factory.mktemp("installed")
    project = tomllib.loads((EXAMPLES / "json_lines" / "pyproject.toml").read_text())["project"]
    info = folder / "dashcam_json_lines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["dashcam.destinations"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[dashcam.destinations]", *lines, ""]))
    file = folder / "events.jsonl"
    path = os.pathsep.join([str(EXAMPLES / "json_lines"), str(folder)])
    return {"PYTHONPATH": path, "LOG_BACKEND": "json_lines", "JSON_LINES_FILE": str(file)}


def test_a_destination_of_ones_own_ships_and_finds(tmp_path, json_lines):
    """With its distribution installed, `LOG_BACKEND=json_lines` is enough for every command."""
    ran = dashcam("run", "--", sys.executable, EXAMPLES / "nightly.py", folder=tmp_path, **json_lines)
    found = dashcam("search", "level:error", folder=tmp_path, **json_lines)
    settings = dashcam("settings", folder=tmp_path, **json_lines)

    assert ran.returncode == 0, ran.stderr
    assert "car 8 left out" in found.stdout, found.stderr
    assert len(found.stdout.splitlines()) == 1
    assert f"JSON_LINES_FILE={json_lines['JSON_LINES_FILE']}" in settings.stdout


@pytest.mark.parametrize(
    ("options", "at_least"),
    [
        (["-k", "not test_hits_are_what_matches or created"], 30),
        pytest.param([], 50, marks=pytest.mark.long, id="every search"),
    ],
)
def test_a_destination_of_ones_own_fulfils_the_contracts(tmp_path, options, at_least):
    """Its own tests inherit the contracts that come with Dashcam, and pass."""
    folder = EXAMPLES / "json_lines"
    done = run_pytest(folder / "test_json_lines.py", "-o", f"pythonpath={folder}", *options, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > at_least


def run_pytest(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.mark.parametrize(("page", "name", "text"), QUOTES, ids=lambda value: getattr(value, "name", None))
def test_a_quote_is_the_file(page, name, text):
    """Code on a page that names its file is that file, without its docstring."""
    code = (ROOT / name).read_text()

    assert text == re.sub(r'\A""".*?"""\n\n', "", code, count=1, flags=re.DOTALL)


def test_the_garage_is_quoted_where_a_newcomer_looks():
    """On the first page and in the quickstart."""
    assert {page.name for page, name, _ in QUOTES if name == "examples/garage.py"} == {"README.md", "quickstart.md"}


def test_the_garage_has_a_line_that_is_held():
    """The first page promises the DEBUG lines of a repair that fails."""
    assert "/repairs/13    # fails: its story has every DEBUG line" in README
    assert "log.debug(" in (EXAMPLES / "garage.py").read_text()


def test_the_garage_is_as_short_as_promised():
    """A Flask service with correlation in 15 lines of code."""
    lines = (EXAMPLES / "garage.py").read_text().splitlines()[1:]

    assert len([line for line in lines if line.strip()]) <= 15
