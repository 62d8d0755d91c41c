"""A thread that keeps the writer busy, by its disk or by a finalizer of the program, keeps no other one waiting."""

import pytest

from dashcam.spool.drops import read_drops

from ..processes import run
from ..spool.spools import dropped, numbers_in

KEPT_BUSY = """
import sys, threading
from pathlib import Path
from dashcam.spool.file import SegmentOptions
from dashcam.spool.writer import Writer
from tests.spool.spools import log_line

is_busy, may_go_on = threading.Event(), threading.Lock()

def keep_busy():  # as a finalizer does that runs meanwhile, and waits for a lock of the program
    is_busy.set()
    with may_go_on: return []

options = SegmentOptions(is_mapped=sys.argv[2] == "mapped")
shared = {"service": {"name": "cars"}}
writer = Writer(Path(sys.argv[1]) / "here" / "cars", lambda: shared, 1 << 30, keep_busy, options)
with may_go_on:
    thread = threading.Thread(target=writer.append, args=(log_line(0),))
    thread.start()
    is_busy.wait()
    for number in range(1, 100): writer.append(log_line(number))
thread.join()
writer.append(log_line(100))
writer.close()
"""


@pytest.mark.parametrize("way", ["mapped", "appended"])
def test_a_thread_that_holds_what_another_waits_for(tmp_path, way):
    """Its log calls return, and their lines are counted; once the other thread goes on, lines are kept."""
    run(KEPT_BUSY, tmp_path, way)

    assert numbers_in(tmp_path) == [0, 100]
    assert sum(dropped(tmp_path).values()) + sum(read_drops(tmp_path).values()) == 99
    assert dropped(tmp_path).keys() | read_drops(tmp_path).keys() >= {"system"}
