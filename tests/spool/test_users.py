"""Service and shipper as different users, and nobody else: modes are set by the code, not by the umask."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from ..processes import run
from .spools import run_writer

SERVICE, OTHER_SERVICE, SHIPPER, STRANGER, GROUP = 12001, 12002, 12003, 12004, 12100

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")


def _modes(folder):
    return {
        str(path.relative_to(folder)).replace(path.name, path.suffix or path.name): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path, umask):
    """The owner writes, the group reads, others do nothing."""
    run_writer(f"os.umask({umask})\nwriter.append(log_line(1))", tmp_path / "state" / "spool")

    assert _modes(tmp_path) == {
        "state": 0o750,
        "state/spool": 0o750,
        "state/spool/here": 0o750,
        "state/spool/here/cars": 0o750,
        "state/spool/here/cars/.segment": 0o640,
        "state/spool/here/cars/drops": 0o640,
    }


@pytest.fixture
def shared():
    """A folder for services and a shipper of one group, as an administrator makes it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        state = folder / "state"
        state.mkdir()
        os.chown(state, 0, GROUP)
        state.chmod(0o2770)
        yield state


# Everything is imported before the change of the user, who may not read the Python of these tests.
AS_USER = """
import os, sys
from pathlib import Path
import dashcam.cli.commands.ship, dashcam.destinations.local.backend
from dashcam.cli import main
from dashcam.spool.writer import Writer
from tests.spool.spools import log_line
folder = Path(sys.argv[1])
def become(user, groups):
    os.umask(0o077)
    os.setgroups(groups); os.setgid(user); os.setuid(user)
"""
WRITE = """
become({user}, [12100])
writer = Writer(folder / "spool" / "here" / "{service}", lambda: {{"service": {{"name": "{service}"}}}}, 1 << 30)
for number in range(100): writer.append(log_line(number))
writer.close()
"""
SHIP = """
os.environ |= {"DASHCAM_DIR": str(folder / "warm"), "LOG_BACKEND": "stdout"}
main(["ship", "--drain"])
become(12003, [12100])
os.environ["DASHCAM_DIR"] = str(folder)
print(main(["ship", "--drain"]))
"""


def _as_user(code, folder):
    return run(AS_USER + code, folder, env=os.environ | {"PYTHONPATH": str(Path.cwd())})


@needs_root
def test_two_services_and_a_shipper(shared):
    """Each of a user of its own, all in one group: what two services record, the shipper sends and may remove."""
    _as_user(WRITE.format(user=SERVICE, service="cars"), shared)
    _as_user(WRITE.format(user=OTHER_SERVICE, service="parts"), shared)

    sent = _as_user(SHIP, shared)

    assert sent.count('"message":') == 200
    for service, user in (("cars", SERVICE), ("parts", OTHER_SERVICE)):
        folder = shared / "spool" / "here" / service
        status = folder.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (user, GROUP, 0o2770)
        (segment,) = folder.glob("*.segment")
        assert (segment.stat().st_gid, stat.S_IMODE(segment.stat().st_mode)) == (GROUP, 0o640)


READ = """
become(12004, [])
for path in (folder, folder / "spool", folder / "spool" / "here" / "cars"):
    try: os.listdir(path)
    except PermissionError: print("refused")
"""


@needs_root
def test_a_stranger_reads_nothing(shared):
    """Neither names nor lines."""
    _as_user(WRITE.format(user=SERVICE, service="cars"), shared)

    assert _as_user(READ, shared) == "refused\n" * 3


LOCK = """
import fcntl
path, = folder.glob("spool/*/*/*.segment")
become(12003, [12100])
file = os.open(path, os.O_RDONLY)
fcntl.flock(file, fcntl.LOCK_EX)
fcntl.lockf(file, fcntl.LOCK_SH)
from dashcam.spool.reader import SegmentReader
with SegmentReader(path) as reader: print(reader.is_final())
"""


@needs_root
def test_a_reader_cannot_make_a_segment_look_alive(shared):
    """Only a lock for writing counts, and that needs the right to write."""
    _as_user(WRITE.format(user=SERVICE, service="cars").replace("writer.close()", "os._exit(0)"), shared)

    assert _as_user(LOCK, shared) == "True\n"
