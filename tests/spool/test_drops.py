"""Events that are dropped while there is no segment: counted where it survives the process."""

import errno
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from dashcam.spool.drops import DropCounts, read_drops
from dashcam.spool.reader import segment_files
from dashcam.spool.segment import count_at, encode_count

from ..processes import run
from .spools import dropped, log_line, numbers_in, run_writer, write_to

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


def _counts(spool):
    return {reason: count for reason, count in read_drops(spool).items() if count}


@pytest.fixture
def temporary(monkeypatch):
    """The folder for temporary files, which every user reaches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        monkeypatch.setenv("TMPDIR", name)
        yield folder


def test_a_process_that_never_gets_a_segment(tmp_path):
    """The spool is full, and the process is killed: its losses are counted."""
    writer = write_to(tmp_path, limit_bytes=4096, segment_bytes=4096)
    writer.append(log_line(0))
    code = """
writer = write_to(Path(sys.argv[1]), limit_bytes=4096, segment_bytes=4096)
for number in range(517): writer.append(log_line(number))
os.kill(os.getpid(), signal.SIGKILL)
"""
    with pytest.raises(AssertionError):
        run_writer(code, tmp_path)

    assert _counts(tmp_path) == {"limit": 517}


def test_short_processes(tmp_path):
    """200 of them, each with a line or two: none is lost within a limit that once held 61."""
    code = """
writer = write_to(Path(sys.argv[1]), limit_bytes=2 << 20, segment_bytes=512 << 10)
for process in range(200):
    if not (child := os.fork()):
        writer.append(log_line(process))
        writer.close()
        os._exit(0)
    os.waitpid(child, 0)
"""
    run_writer(code, tmp_path)

    assert numbers_in(tmp_path) == list(range(200))
    assert (dropped(tmp_path), _counts(tmp_path)) == ({}, {})


def test_processes_that_count_at_once(tmp_path):
    """No count is lost between them."""
    code = """
from dashcam.spool.drops import DropCounts
for _ in range(8):
    if not os.fork():
        counts = DropCounts(Path(sys.argv[1]) / "here" / "cars")
        for _ in range(200): counts.add("disk")
        counts.flush()
        os._exit(0)
for _ in range(8): os.wait()
"""
    (tmp_path / "here" / "cars").mkdir(parents=True)
    run_writer(code, tmp_path)

    assert _counts(tmp_path) == {"disk": 1600}


def test_the_next_segment_takes_the_counts_over(tmp_path):
    """They stand in its header, and there alone, so they are shipped as an event; the file begins anew."""
    (tmp_path / "here" / "cars").mkdir(parents=True)
    counts = DropCounts(tmp_path / "here" / "cars")
    for _ in range(3):
        counts.add("limit")
    write_to(tmp_path).append(log_line(1))

    assert (dropped(tmp_path), _counts(tmp_path)) == ({"limit": 3}, {})
    counts.add("limit")
    assert _counts(tmp_path) == {"limit": 1}


def _moved(tmp_path):
    """Have three counts taken over by a segment: the folder, the file of counts as it was before, and the writer."""
    folder = tmp_path / "here" / "cars"
    folder.mkdir(parents=True)
    counts = DropCounts(folder)
    for _ in range(3):
        counts.add("limit")
    before = (folder / "drops").read_bytes()
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    return folder, before, writer


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("kept", ["neither", "the file", "the header"])
def test_a_power_cut_while_counts_move(tmp_path, kept, more):
    """Of the file and the header each is on the disk as it was before or after: the counts are there once."""
    folder, before, writer = _moved(tmp_path)
    if kept != "the file":
        (folder / "drops").write_bytes(before)
    if kept == "neither":
        _set_dropped(segment_files(tmp_path)[0], 0)
    read = Counter(dropped(tmp_path)) + Counter(_counts(tmp_path))
    writer.close()
    for _ in range(more):
        DropCounts(folder).add("limit")
    write_to(tmp_path).append(log_line(2))

    assert read == {"limit": 3}
    assert (dropped(tmp_path), _counts(tmp_path)) == ({"limit": 3 + more}, {})


@pytest.mark.parametrize("is_counting", [True, False])
def test_a_header_that_cannot_be_read_after_a_power_cut(tmp_path, monkeypatch, is_counting):
    """It may have the counts that the cut brought back: they wait until it can be read, and are there once."""
    folder, before, writer = _moved(tmp_path)
    writer.close()
    (folder / "drops").write_bytes(before)
    (first,) = segment_files(tmp_path)
    read, later = os.pread, DropCounts(folder)

    def broken(file, size, offset):
        if Path(f"/proc/self/fd/{file}").readlink() == first:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", broken)
        if is_counting:
            later.add("limit")
        else:
            write_to(tmp_path).append(log_line(2))
    later.flush()
    write_to(tmp_path).append(log_line(3))

    assert Counter(dropped(tmp_path)) + Counter(_counts(tmp_path)) == {"limit": 3 + is_counting}


def test_counts_that_cannot_be_moved(tmp_path, monkeypatch):
    """The disk does not take the change of the file: it goes on counting, and the header does not seem to have it."""
    folder = tmp_path / "here" / "cars"
    folder.mkdir(parents=True)
    counts, write = DropCounts(folder), os.pwrite
    for _ in range(3):
        counts.add("limit")

    def broken(file, data, offset):
        if Path(f"/proc/self/fd/{file}").readlink().name == "drops":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data, offset)

    monkeypatch.setattr(os, "pwrite", broken)
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    monkeypatch.undo()
    for _ in range(5):
        writer.drop("limit")

    assert Counter(dropped(tmp_path)) + Counter(_counts(tmp_path)) == {"limit": 8}


def test_a_longer_file_of_something_else(tmp_path):
    """What stands behind the counts would make each later reading fail: it is cut off, and later drops are counted."""
    folder = tmp_path / "here" / "cars"
    folder.mkdir(parents=True)
    (folder / "drops").write_bytes(b"x" * 4096)
    counts = DropCounts(folder)
    for _ in range(3):
        counts.add("limit")

    assert _counts(tmp_path) == {"limit": 3}


def _set_dropped(path, count):
    with path.open("r+b") as file:
        file.seek(count_at("limit"))
        file.write(encode_count(count))


def test_the_mark_of_a_request_is_not_an_event(tmp_path):
    """`dropped` counts what somebody would miss."""
    code = """
writer = write_to(Path(sys.argv[1]), limit_bytes=4096, segment_bytes=4096)
for number in range(100):
    writer.append(log_line(number))
    writer.append(start_line(number, f"{number:016x}"))
print(sum(dropped(Path(sys.argv[1])).values()))
"""
    counted = int(run_writer(code, tmp_path))

    assert counted == 100 - len(numbers_in(tmp_path))


UNWRITABLE = """
import os, sys
from pathlib import Path
from dashcam.spool.writer import Writer
os.setgid(65534); os.setuid(65534)
writer = Writer(Path(sys.argv[1]) / "here" / "cars", dict, 1 << 30)
for number in range(25): writer.append(b"x\\n")
print("alive", file=sys.stderr)
os.kill(os.getpid(), 9)
"""


@needs_root
def test_a_spool_that_may_not_be_written(tmp_path, temporary):
    """One line on standard error at once, and a count that outlives the process, in the folder for temporary files."""
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)

    with pytest.raises(AssertionError) as failed:
        run(UNWRITABLE, spool)

    said, alive, *_ = str(failed.value).splitlines()
    assert said.startswith("dashcam: events of cars are dropped and counted: [Errno 13] Permission denied: ")
    assert alive == "alive"
    assert _counts(spool) == {"access": 25}
    assert [path.name.rpartition("-")[0] for path in temporary.iterdir()] == [f"dashcam-drops-{NOBODY}"]


def test_an_event_that_cannot_be_a_line_is_reported_once(tmp_path, capfd):
    """It would be a fault of ours, so the console says it, and the count has the others."""
    writer = write_to(tmp_path)

    for _ in range(3):
        writer.drop("error")

    assert capfd.readouterr().err.count("an event could not be recorded, which is a fault of Dashcam") == 1
    assert _counts(tmp_path) == {"error": 3}
