"""A type checker knows the public names, and what their calls take."""

import subprocess
import sys

import pytest

USE = """
import logging
import dashcam

log: logging.Logger = dashcam.get_logger(__name__)
ours = dashcam.get_logger("cars")
ours.info("%d cars", 7, car_id=8, exc_info=True, stack_info=True, stacklevel=2, extra={"a": 1})
ours.bind(a=1).log(logging.INFO, "m", b=2)
ours.exception("m", a=1)


@dashcam.job("nightly", source="garage")
def plain(number: int) -> str:
    with dashcam.span("parse", rows=3), dashcam.context(a=1):
        return str(number)


@dashcam.job("nightly")
async def later(number: int) -> str:
    return plain(number)


sent: dict[str, str] = dashcam.headers()
"""
MISUSE = """
import dashcam

dashcam.get_logger("cars").info("m", stacklevel="two")


@dashcam.job("nightly")
def plain(number: int) -> str:
    return str(number)


plain("seven")
"""


def _check(code, folder):
    (folder / "use.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(folder), "use.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=110).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder where mypy keeps what it knows of the standard library, which takes it longest."""
    return tmp_path_factory.mktemp("mypy")


def test_what_is_right(folder):
    """mypy finds nothing to say."""
    assert _check(USE, folder).startswith("Success")


def test_what_is_wrong(folder):
    """mypy finds both."""
    found = _check(MISUSE, folder)

    assert '"stacklevel"' in found
    assert 'Argument 1 to "plain"' in found
