"""Events on standard output."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from dashcam.destinations.stdout.backend import Stdout
from dashcam.errors import BackendUnavailable
from dashcam.testing.backend_contract import BackendContract, line


class _Output:
    """A file that stands behind a descriptor, until the descriptor is a pipe that nobody reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def connect(self):
        return Stdout(self.descriptor)

    def arrived(self):
        by_id = {event["event"]["id"]: event for event in map(orjson.loads, self._path.read_bytes().splitlines())}
        return list(by_id.values())

    def stop(self):
        out, into = os.pipe()
        os.dup2(into, self.descriptor)
        os.close(out)
        os.close(into)


class TestStdout(BackendContract):
    """Standard output as a destination."""

    @pytest.fixture
    def destination(self, tmp_path):
        """A file as standard output."""
        output = _Output(tmp_path / "out")
        yield output
        os.close(output.descriptor)


@pytest.fixture
def narrow_pipe():
    """A pipe that takes no more than it holds; its reading and its writing end."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    yield out, into
    os.close(out)
    os.close(into)


def test_a_line_that_broke_off_is_ended(narrow_pipe):
    """After a batch that was written in part, the next one begins on a line of its own."""
    out, into = narrow_pipe
    backend = Stdout(into)
    with pytest.raises(BackendUnavailable, match="accepts no more lines"):
        backend.ship([line(1, "x" * 200_000)])
    torn = os.read(out, 200_000)

    backend.ship([line(2)])

    assert torn + os.read(out, 1000) == line(1, "x" * 200_000).data[: len(torn)] + b"\n" + line(2).data + b"\n"


def test_connect_writes_to_the_process_output():
    """A collector reads whole lines, at once, without the process's end."""
    code = (
        "from dashcam.event import EncodedEvent; from dashcam.destinations.stdout import Options\n"
        "from dashcam.destinations.stdout.backend import connect; import os\n"
        "connect(Options()).ship([EncodedEvent('id', False, b'{}')]); os._exit(0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout == b"{}\n"
