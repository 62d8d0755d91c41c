"""The own tests of Flask, requests and psycopg2 give the same results with Dashcam on, but for those of `KNOWN`."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import psycopg2.extensions
import pytest

ROOT = Path(__file__).parents[2]


class Suite(NamedTuple):
    """A distribution whose source has its tests, and what these need besides."""

    sdist: str
    needs: tuple[str, ...]
    options: tuple[str, ...] = ()


SUITES = {
    "flask": Suite("flask==3.1.3", ("pytest<9", "asgiref", "python-dotenv", "blinker")),
    "requests": Suite(
        "requests==2.34.2",
        ("pytest<9", "pytest-httpbin", "pytest-mock", "httpbin", "PySocks", "trustme"),
        # These connect to an address outside of this machine.
        ("--deselect=tests/test_requests.py::TestTimeout",),
    ),
    "psycopg2": Suite("psycopg2==2.9.13", ("pytest<9", "psycopg2-binary==2.9.13")),
}

# Tests that end in another way, because they look at what no program's results depend on; each with what that is.
KNOWN = {
    "tests.test_connection.ConnectionTests::test_cursor_factory_none": "a cursor's exact class: ours is a subclass",
    "tests.test_requests.TestRequests::test_response_iter_lines_reentrant": "expected to fail, but for luck",
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("name", SUITES)
def test_the_results_are_the_same(name, tmp_path, postgres_url):
    """Each of their tests ends as it does without us."""
    suite = SUITES[name]
    python = environment(tmp_path / "venv", suite)
    tests = source(python, suite, tmp_path)

    without = outcomes(python, tests, suite, tmp_path / "without", postgres_url)
    with_dashcam = outcomes(python, tests, suite, tmp_path / "with", postgres_url, "-p", "with_dashcam")

    assert len(without) > 100
    assert changed(without, with_dashcam) == {}
    assert list((tmp_path / "with" / "state").rglob("*.segment"))


def environment(folder, suite):
    """A virtual environment with Dashcam and what the tests need; gives its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    needs = [need for need in (suite.sdist, *suite.needs) if not need.startswith("psycopg2==")]
    subprocess.run([*install, f"{ROOT}[all]", *needs], check=True)
    return python


def source(python, suite, folder):
    """The folder that holds the tests of a distribution, without the package itself."""
    name = suite.sdist.partition("=")[0]
    download = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "--dest", folder]
    if name == "psycopg2":
        download += ["--no-build-isolation"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "setuptools", "wheel"], check=True)
    subprocess.run([*download, suite.sdist], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # of Python 3.11.4 and later
        tar.extractall(folder / "source")
    (inner,) = (folder / "source").iterdir()
    kept = folder / "tests-alone"
    kept.mkdir()
    (inner / "tests").rename(kept / "tests")
    for file in ("pyproject.toml", "setup.cfg", "README.rst", "HISTORY.md"):
        if (inner / file).exists() and file != "setup.cfg":
            (inner / file).rename(kept / file)
    return kept


def outcomes(python, tests, suite, folder, postgres_url, *options):
    """How each test ended, by its name."""
    folder.mkdir()
    report = folder / "report.xml"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *suite.options, *options]
    done = subprocess.run(
        [*command, "tests"],
        cwd=tests,
        env={
            **os.environ,
            "DASHCAM_DIR": str(folder / "state"),
            **database(postgres_url),
            "PYTHONPATH": str(Path(__file__).parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    cases = ET.parse(report).getroot().iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}


def database(url):
    """The variables by which the tests of psycopg2 find a database."""
    parts = {
        "PSYCOPG2_TESTDB": "dbname",
        **{f"PSYCOPG2_TESTDB_{name.upper()}": name for name in ("host", "port", "user")},
    }
    given = psycopg2.extensions.parse_dsn(url)
    return {variable: given[name] for variable, name in parts.items() if name in given}


def _outcome(case):
    kinds = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
    return kinds[0] if kinds else "passed"


def changed(without, with_dashcam):
    """The tests that ended in another way, with both outcomes."""
    names = without.keys() | with_dashcam.keys()
    pairs = {name: (without.get(name), with_dashcam.get(name)) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in KNOWN}
