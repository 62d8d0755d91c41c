"""Children that are forked in C, without Python's knowledge, as uWSGI forks its workers."""

import json
import subprocess
import sys

import pytest

from ..processes import DEADLINE_S
from ..spool.spools import numbers_in, read_spool

PROLOGUE = """
import ctypes, os, sys
from pathlib import Path
from tests.spool.spools import log_line, write_to

libc, spool, way = ctypes.CDLL(None), Path(sys.argv[1]), sys.argv[2]
NOT_HERE = 9
fork = getattr(libc, way, None) or sys.exit(NOT_HERE)
"""
FORKS = pytest.mark.parametrize("fork", ["fork", "_Fork"])  # the second one calls no hook at all


def _run(code, spool, fork):
    command = [sys.executable, "-c", PROLOGUE + code, str(spool), fork]
    done = subprocess.run(command, check=False, timeout=DEADLINE_S)
    if done.returncode == 9:
        pytest.skip(f"needs {fork} (glibc 2.34)")
    assert done.returncode == 0


@FORKS
@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "appended"])
def test_a_child_and_its_parent(tmp_path, fork, is_mapped):
    """Each keeps lines of its own, and touches none of the other's."""
    code = f"""
def append(first, end):
    for number in range(first, end): writer.append(log_line(number))

writer = write_to(spool, is_mapped={is_mapped}, segment_bytes=1 << 20)
append(0, 1000)
if not (child := fork()):
    append(1000, 2000)
    writer.close()
    os._exit(0)
append(2000, 3000)
assert os.waitpid(child, 0)[1] == 0
append(3000, 4000)
writer.close()
"""
    _run(code, tmp_path, fork)

    assert sorted(numbers_in(tmp_path)) == list(range(4000))


@FORKS
def test_the_first_jobs_of_children(tmp_path, fork):
    """No two of them have an ID in common."""
    code = """
import dashcam
from dashcam.settings import RecordSettings
dashcam.init("forks", settings=RecordSettings(dir=spool, console="off"))
for _ in range(3):
    if not (child := fork()):
        with dashcam.job("work"): pass
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    _run(code, tmp_path, fork)

    spans = [json.loads(line) for line in read_spool(tmp_path / "spool")]
    spans = [span for span in spans if span["processor"]["event"] == "transaction"]
    assert len(spans) == 3
    assert len({span["trace"]["id"] for span in spans}) == 3
    assert len({span["http"]["request"]["id"] for span in spans}) == 3
