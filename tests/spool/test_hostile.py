"""Whatever anybody does to our files, the application goes on, and what could be kept is kept."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import MAX_SEGMENT_BYTES

from .conftest import needs_c
from .spools import log_line, numbers_in, read_spool, run_writer, running_writer, start_line, write_to

WAYS = pytest.mark.parametrize("is_mapped", [pytest.param(True, marks=needs_c), False], ids=["mapped", "appended"])

# Each line that is appended after the fault must be there in the end; what stood in the file may be gone.
AFTER = """
writer = write_to(Path(sys.argv[1]), is_mapped={is_mapped}, segment_bytes=1 << 20)
append = lambda first, end: [writer.append(log_line(number)) for number in range(first, end)]
append(0, 3000)
segment, = Path(sys.argv[1]).glob("*/*/*.segment")
{fault}
append(10_000, 20_000)
writer.close()
print("alive")
"""
FAULTS = {
    "truncated": "os.truncate(segment, 0)",
    "truncated-in-the-header": "os.truncate(segment, 100)",
    "truncated-in-a-page": "os.truncate(segment, 50_000)",
    "copytruncate": "import shutil; shutil.copy(segment, segment.with_suffix('.1')); os.truncate(segment, 0)",
    "removed": "segment.unlink()",
    "folder-removed": "import shutil; shutil.rmtree(segment.parents[2])",
    "replaced": "segment.unlink(); segment.write_text('something else')",
    "read-only": "os.chmod(segment, 0o400); os.chmod(segment.parent, 0o500)",
    "grown": "os.truncate(segment, 50 << 20)",
}


@WAYS
@pytest.mark.parametrize("fault", FAULTS)
def test_the_application_survives(tmp_path, fault, is_mapped):
    """The lines after the fault are kept, but for those of the page that was being filled."""
    code = AFTER.format(is_mapped=is_mapped, fault=FAULTS[fault])

    assert run_writer(code, tmp_path / "spool") == "alive\n"

    kept = [number for number in numbers_in(tmp_path / "spool") if number >= 10_000]
    if fault in {"removed", "folder-removed", "replaced"}:
        # A mapping of a removed file goes on until it is to grow.
        assert kept[-5_000:] == list(range(15_000, 20_000))
    elif fault == "truncated-in-a-page":
        assert len(kept) > 10_000 - 40
    else:
        assert kept == list(range(10_000, 20_000))


CLOSED = """
writer = write_to(Path(sys.argv[1]), is_mapped={is_mapped})
for number in range(10): writer.append(log_line(number))
os.closerange(3, 1000)
theirs = [os.open(Path(sys.argv[1]).parent / f"theirs-{{number}}", os.O_RDWR | os.O_CREAT) for number in range(20)]
for file in theirs: os.write(file, b"precious")
for number in range(10, 1000): writer.append(log_line(number))
writer.close()
for file in theirs: os.write(file, b"!")
"""


@WAYS
def test_descriptors_that_the_application_closes(tmp_path, is_mapped):
    """`closerange`, as a daemon does it: no line is lost, and no file that gets our former number is touched."""
    run_writer(CLOSED.format(is_mapped=is_mapped), tmp_path / "spool")

    assert numbers_in(tmp_path / "spool") == list(range(1000))
    assert {path.read_bytes() for path in tmp_path.glob("theirs-*")} == {b"precious!"}


OPENED = """
writer = write_to(Path(sys.argv[1]), is_mapped={is_mapped})
writer.append(log_line(1))
segment, = Path(sys.argv[1]).glob("*/*/*.segment")
for _ in range(3): open(segment, "rb").close()
print(segment, flush=True)
input()
"""


@WAYS
def test_an_application_that_opens_and_closes_its_segment(tmp_path, is_mapped):
    """The lock stays: a reader that took the segment for final would miss all later lines."""
    with (
        running_writer(OPENED.format(is_mapped=is_mapped), tmp_path) as process,
        SegmentReader(Path(process.stdout.readline().strip())) as reader,
    ):
        assert not reader.is_final()


FORKED = """
writer = write_to(Path(sys.argv[1]), is_mapped={is_mapped})
writer.append(log_line(1))
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
print(os.getpid(), flush=True)
time.sleep(600)
"""


@WAYS
def test_a_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path, is_mapped):
    """It writes nothing itself, and lives on: the parent's segment is final all the same."""
    code = FORKED.format(is_mapped=is_mapped)
    with running_writer(code, tmp_path) as process:
        child = int(process.stdout.readline())
        try:
            process.wait(30)
            (path,) = segment_files(tmp_path)
            with SegmentReader(path) as reader:
                assert reader.is_final()
        finally:
            os.kill(child, signal.SIGKILL)


@WAYS
def test_no_descriptor_left(tmp_path, is_mapped):
    """The application has used up all of them: what cannot be kept is counted, and it goes on when one is free."""
    code = f"""
writer = write_to(Path(sys.argv[1]), is_mapped={is_mapped})
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True: taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
for number in range(10): writer.append(log_line(number))
for file in taken: os.close(file)
time.sleep(0.3)  # longer than the RETRY_S of a writer without room
writer.append(log_line(10))
print(dropped(Path(sys.argv[1])))
"""
    assert run_writer(code, tmp_path) == "{'system': 10}\n"
    assert numbers_in(tmp_path) == [10]


OPEN_REQUESTS = """
from dashcam.spool.writer import Writer
marks = [start_line(number, f"{number:016x}") for number in range(6000)]
writer = Writer(Path(sys.argv[1]) / "here" / "cars", lambda: {"service": {"name": "cars"}}, 64 << 20, lambda: marks)
for number in range(20_000): writer.append(log_line(number))
writer.close()
print(dropped(Path(sys.argv[1])))
"""


def test_many_open_requests(tmp_path):
    """Their marks stand in each segment and leave room for the events: two thirds of it."""
    assert run_writer(OPEN_REQUESTS, tmp_path) == "{}\n"

    assert numbers_in(tmp_path) == list(range(20_000))
    used_bytes = sum(path.stat().st_size for path in segment_files(tmp_path))
    lines_bytes = sum(len(line) for line in read_spool(tmp_path) if b'"start"' not in line)
    assert used_bytes < 4 * lines_bytes
    for path in segment_files(tmp_path):
        assert path.read_bytes().count(b'"start"') == 6000


def test_very_long_marks_leave_room_for_events(tmp_path):
    """Also where a third of the longest segment is too little for all of them."""
    start = start_line(1, f"{1:016x}").replace(b"}\n", b',"filling":"%b"}\n' % (b"x" * (250 << 10)))
    writer = write_to(tmp_path, limit_bytes=1 << 30, carry_over=lambda: [start] * 200)

    writer.append(log_line(1))

    (segment,) = segment_files(tmp_path)
    assert 20 << 20 < segment.stat().st_blocks * 512 <= MAX_SEGMENT_BYTES // 2
    assert numbers_in(tmp_path) == [1]


@WAYS
def test_a_file_in_the_place_of_a_segment_stays_as_it_is(tmp_path, is_mapped):
    """The seal neither writes to it nor cuts it."""
    writer = write_to(tmp_path, is_mapped=is_mapped)
    writer.append(log_line(1))
    (segment,) = segment_files(tmp_path)
    theirs = b"theirs" * 100_000
    segment.rename(tmp_path / "aside")
    segment.write_bytes(theirs)

    writer.close()

    assert segment.read_bytes() == theirs


FOREIGN = """
import mmap, tempfile
writer = write_to(Path(sys.argv[1]))
writer.append(log_line(1))
with tempfile.TemporaryFile() as file:
    file.truncate(8192)
    theirs = mmap.mmap(file.fileno(), 8192)
    file.truncate(0)
    theirs[5000] = 1
"""


@needs_c
@pytest.mark.parametrize("options", [[], ["-X", "faulthandler"]])
def test_a_fault_that_is_not_ours_ends_the_process_as_ever(tmp_path, options):
    """By SIGBUS, and with the traceback of Python's faulthandler where that is on."""
    done = _run(FOREIGN, tmp_path, options)

    assert done.returncode == -signal.SIGBUS
    assert (b"Fatal Python error: Bus error" in done.stderr) == bool(options)


LATE_HANDLER = """
import faulthandler
writer = write_to(Path(sys.argv[1]), segment_bytes=1 << 20)
writer.append(log_line(1))
{handler}
segment, = Path(sys.argv[1]).glob("*/*/*.segment")
os.truncate(segment, 0)
for number in range(10, 20): writer.append(log_line(number))
print("alive")
"""


@needs_c
def test_a_faulthandler_that_comes_later(tmp_path):
    """It reports our fault, and passes it on to us: the application goes on."""
    done = _run(LATE_HANDLER.format(handler="faulthandler.enable()"), tmp_path, [])

    assert (done.returncode, done.stdout) == (0, b"alive\n")
    assert numbers_in(tmp_path) == list(range(10, 20))


BETWEEN = """
import faulthandler
first = write_to(Path(sys.argv[1]) / "first")
first.append(log_line(1))
{handler}
"""


@needs_c
@pytest.mark.parametrize(
    ("handler", "reports"),
    [("faulthandler.enable()", 1), ("signal.signal(signal.SIGBUS, lambda *_: None)", 0)],
    ids=["faulthandler", "of-python"],
)
def test_a_handler_that_comes_between_two_segments(tmp_path, handler, reports):
    """A fault that is not ours is reported once and ends the process, also where the handlers know each other."""
    done = _run(BETWEEN.format(handler=handler) + FOREIGN, tmp_path, [])

    assert done.returncode == -signal.SIGBUS
    assert done.stderr.count(b"Fatal Python error: Bus error") == reports


@needs_c
def test_a_signal_that_somebody_sends(tmp_path):
    """`kill -BUS` ends the process, as it would without us."""
    code = "writer = write_to(Path(sys.argv[1])); writer.append(log_line(1)); os.kill(os.getpid(), signal.SIGBUS)"

    assert _run(code, tmp_path, []).returncode == -signal.SIGBUS


def _run(code, spool, options):
    prologue = "import os, signal, sys\nfrom pathlib import Path\nfrom tests.spool.spools import log_line, write_to\n"
    command = [sys.executable, *options, "-c", prologue + code, str(spool)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def test_a_lost_segment_is_given_up(tmp_path):
    """Its header says so: that a request is open in it means nothing."""
    code = AFTER.format(is_mapped=True, fault="os.truncate(segment, 50_000)")
    run_writer(code, tmp_path)

    first, *_ = segment_files(tmp_path)
    with SegmentReader(first) as reader:
        assert reader.header.is_given_up
        assert reader.is_final()


def test_a_lost_segment_is_reported(tmp_path):
    """Once, on standard error, with its path."""
    code = AFTER.format(is_mapped=True, fault="os.truncate(segment, 50_000)")
    prologue = "import os, signal, sys\nfrom pathlib import Path\nfrom tests.spool.spools import log_line, write_to\n"
    done = subprocess.run([sys.executable, "-c", prologue + code, str(tmp_path)], capture_output=True, check=True)

    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("dashcam: ")
    assert ".segment" in line
