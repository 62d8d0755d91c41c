"""What befalls the files of a spool, beside those of tests/spool/test_hostile.py: the program goes on."""

import subprocess
import sys

import pytest

from ..processes import DEADLINE_S
from ..spool.conftest import needs_c
from ..spool.spools import numbers_in

WAYS = pytest.mark.parametrize("is_mapped", [pytest.param(True, marks=needs_c), False], ids=["mapped", "appended"])

PROLOGUE = """
import ctypes, os, resource, signal, sys, time
from pathlib import Path
from tests.spool.spools import log_line, write_to

libc = ctypes.CDLL(None)
writer = write_to(Path(sys.argv[1]), is_mapped=sys.argv[2] == "True", segment_bytes=1 << 20)

def append(first, end):
    for number in range(first, end): writer.append(log_line(number))
"""


def _finish(code, spool, is_mapped):
    """Run a program in a Python of its own; its exit status."""
    command = [sys.executable, "-c", PROLOGUE + code, str(spool), str(is_mapped)]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, timeout=DEADLINE_S).returncode


@WAYS
@pytest.mark.parametrize("size", [0, 100, 100_000])
@pytest.mark.parametrize("lines", [0, 100])
def test_a_process_whose_files_may_not_grow(tmp_path, lines, size, is_mapped):
    """SIGXFSZ does not end it, which Python ignores by itself, but not in a server that embeds it."""
    code = f"""
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
append(0, {lines})
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
append(1000, 3000)
writer.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
time.sleep(0.3)  # longer than the RETRY_S of a writer without room
append(3000, 3010)
writer.close()
"""
    assert _finish(code, tmp_path, is_mapped) == 0

    kept = numbers_in(tmp_path)
    assert kept[:lines] == list(range(lines))
    assert kept[-10:] == list(range(3000, 3010))


# fallocate(2): what takes bytes out of a file, and what leaves zeros there.
HOLES = {"a hole": 0x01 | 0x02, "a range that is cut out": 0x08, "zeros": 0x10}


@WAYS
@pytest.mark.parametrize("hole", HOLES)
def test_a_file_with_a_hole(tmp_path, hole, is_mapped):
    """Lines are kept, but for those of the pages that another program took away, or moved."""
    code = f"""
append(0, 3000)
for path in Path(sys.argv[1]).rglob("*.segment"):
    file = os.open(path, os.O_RDWR)
    libc.fallocate(file, {HOLES[hole]}, ctypes.c_long(4096), ctypes.c_long(40960))
append(3000, 20_000)
writer.close()
"""
    assert _finish(code, tmp_path, is_mapped) == 0

    assert numbers_in(tmp_path)[-10_000:] == list(range(10_000, 20_000))
