"""The writer killed at named points of its code: each line whose log call returned is there, once."""

import signal
from pathlib import Path

import pytest

from dashcam.spool.drops import read_drops
from dashcam.spool.reader import SegmentReader, segment_files

from ..processes import finished
from ..spool.spools import dropped, numbers_in

LINES = 4000  # more than the limit of 300 kB has room for

POINTS = [
    f"{where} {function}"
    for function in (
        "writer._make_folder",
        "writer.Writer._append_slowly",
        "writer.Writer._make_room",
        "writer.Writer._has_room",
        "writer.Writer._has_grown",
        "writer.Writer._rotate",
        "writer.Writer._switch_to",
        "writer.Writer.drop",
        "writer.Writer.close",
        "file.SegmentFile.__init__",
        "file.SegmentFile._create",
        "file.SegmentFile._open",
        "file.SegmentFile.grow",
        "file.SegmentFile._reopen",
        "file.SegmentFile.set_dropped",
        "file.SegmentFile.seal",
        "file._write_zeros",
        "drops.DropCounts.batch",
        "drops.DropCounts.take",
        "drops._change",
    )
    for where in ("before", "after")
]

# The witness is a file with one byte for each log call that returned; the kernel keeps it, as it keeps the lines.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from dashcam.spool.file import SegmentOptions
from dashcam.spool.writer import Writer
from tests.spool.spools import log_line
spool, point, times, lines = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
where, _, function = point.partition(" ")
wanted = {"before": "call", "after": "return"}[where]
def kill(frame, event, _):
    global times
    code = frame.f_code
    if event == wanted and f"{Path(code.co_filename).stem}.{code.co_qualname}" == function:
        times -= 1
        if times == 0: os.kill(os.getpid(), signal.SIGKILL)
witness = os.open(sys.argv[1] + ".witness", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
shared = {"service": {"name": "cars"}}
writer = Writer(spool / "here" / "cars", lambda: shared, 300_000, tuple, SegmentOptions(128 << 10))
sys.setprofile(kill)
for number in range(lines):
    writer.append(log_line(number))
    os.write(witness, b".")
writer.close()
"""


def _killed_at(spool, point, times):
    """Run a writer until it comes to a point so many times; return how many calls returned, and if it was killed."""
    done = finished(PROGRAM, spool, point, times, LINES)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return Path(f"{spool}.witness").stat().st_size, done.returncode != 0


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at(tmp_path, point, times):
    """What was logged is kept or counted; the segments of the dead are final; the next process goes on."""
    spool = tmp_path / "spool"

    returned, is_killed = _killed_at(spool, point, times)

    assert is_killed or times > 1, "this point was never reached"
    kept = numbers_in(spool)
    counted = sum(dropped(spool).values()) + sum(read_drops(spool).values())
    assert kept == list(range(len(kept)))
    # The call that was killed may have kept its line, or counted it.
    assert returned <= len(kept) + counted <= returned + 1
    for path in segment_files(spool):
        with SegmentReader(path) as reader:
            assert reader.is_final()
