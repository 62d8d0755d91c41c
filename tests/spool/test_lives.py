"""Writers that fork, are killed, are interrupted: what stands in the spool then."""

import os
import signal
from collections import Counter

import pytest

from dashcam.spool.reader import SegmentReader, segment_files

from ..processes import run_alone
from .spools import read_segment, read_spool, run_writer, running_writer


def _is_final(path):
    with SegmentReader(path) as reader:
        return reader.is_final()


def _times(spool):
    """How often each line stands in the spool, by its number."""
    return Counter(int(line.split(b'"message":"')[1].split(b'"')[0]) for line in read_spool(spool))


def test_a_segment_is_final_when_its_writer_is_gone(tmp_path):
    """Not while it lives, however often one looks; at once when it is killed; every line is there."""
    code = "for number in range(100): writer.append(log_line(number))\nprint('ready', flush=True)\ninput()"
    with running_writer(code, tmp_path) as process:
        process.stdout.readline()
        (path,) = segment_files(tmp_path)
        assert [_is_final(path) for _ in range(3)] == [False] * 3

        process.kill()
        process.wait()

        assert _is_final(path)
    assert _times(tmp_path) == Counter(range(100))


def test_a_process_that_ends_leaves_its_lines(tmp_path):
    """Without a word to the writer."""
    run_writer("writer.append(log_line(1)); os._exit(0)", tmp_path)

    (path,) = segment_files(tmp_path)
    assert _is_final(path)
    assert _times(tmp_path) == {1: 1}


def test_a_child_has_a_segment_and_a_lock_of_its_own(tmp_path):
    """A parent that is killed leaves a final segment, though its child lives; the child's is not final."""
    code = """
writer.append(log_line(1))
if os.fork():
    writer.append(log_line(3))
    time.sleep(600)
writer.append(log_line(2))
print(os.getpid(), os.getppid(), flush=True)
time.sleep(600)
"""
    with running_writer(code, tmp_path) as process:
        child, parent = map(int, process.stdout.readline().split())
        os.kill(parent, signal.SIGKILL)
        process.wait()
        try:
            finals = {tuple(_numbers(path)): _is_final(path) for path in segment_files(tmp_path)}
        finally:
            os.kill(child, signal.SIGKILL)

    assert finals.pop((2,)) is False
    assert finals in ({(1, 3): True}, {(1,): True})


def _numbers(path):
    return [int(line.split(b'"message":"')[1].split(b'"')[0]) for line in read_segment(path, is_final=False)[0]]


def test_a_child_that_ends_does_not_seal_the_parents_segment(tmp_path):
    """The parent goes on in it."""
    code = """
writer.append(log_line(1))
if not (child := os.fork()):
    writer.close()
    sys.exit()
os.waitpid(child, 0)
writer.append(log_line(2))
"""
    run_writer(code, tmp_path)

    (path,) = segment_files(tmp_path)
    assert _numbers(path) == [1, 2]


@pytest.mark.parametrize("forks", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_forks_in_the_middle_of_appends(tmp_path, forks):
    """Threads append while the process forks again and again; each child appends, so do its threads; all is kept."""
    code = f"""
FORKS = {forks}
stopping = threading.Event()
told = []

def work(first):
    number = first
    while not stopping.is_set():
        writer.append(log_line(number))
        number += 1
    told.append((first, number))

threads = [threading.Thread(target=work, args=(first,)) for first in (10_000_000, 20_000_000, 30_000_000)]
for thread in threads: thread.start()
for fork in range(FORKS):
    if not (child := os.fork()):
        own = threading.Thread(target=writer.append, args=(log_line(2 * fork),))
        own.start()
        writer.append(log_line(2 * fork + 1))
        own.join()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stopping.set()
for thread in threads: thread.join()
for first, end in told: print(first, end)
"""
    printed = run_writer(code, tmp_path)

    told = [tuple(map(int, line.split())) for line in printed.splitlines()]
    expected = Counter(range(2 * forks)) + Counter(number for first, end in told for number in range(first, end))
    assert len(told) == 3
    assert _times(tmp_path) == expected


def test_signals_in_the_middle_of_appends(tmp_path):
    """A handler that appends, at a thousand moments within appends and turns of segments, loses nothing."""
    code = """
signals = 0
def on_alarm(*_):
    global signals
    for _ in range(4):
        writer.append(log_line(10_000_000 + signals))
        signals += 1
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
signal.signal(signal.SIGALRM, on_alarm)
on_alarm()
number = 0
while signals < 4000:
    writer.append(log_line(number))
    number += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(number, signals)
"""
    lines, signals = map(int, run_writer(code, tmp_path).split())

    assert _times(tmp_path) == Counter(range(lines)) + Counter(range(10_000_000, 10_000_000 + signals))


def test_finalizers_in_the_middle_of_appends(tmp_path):
    """The garbage collector may run anywhere, so `__del__` may append anywhere."""
    code = """
import gc
gc.set_threshold(1)
class Cycle:
    made = 0
    def __init__(self): self.me = self; Cycle.made += 1; self.number = 10_000_000 + Cycle.made
    def __del__(self): writer.append(log_line(self.number))
for number in range(3000):
    Cycle()
    writer.append(log_line(number))
gc.collect()
print(Cycle.made)
"""
    made = int(run_writer(code, tmp_path))

    assert _times(tmp_path) == Counter(range(3000)) + Counter(range(10_000_001, 10_000_001 + made))


def test_the_end_of_a_process(tmp_path):
    """`atexit` and the finalizers of the very end may append."""
    code = """
import atexit
class Last:
    def __del__(self): writer.append(log_line(3))
last = Last()
atexit.register(writer.append, log_line(2))
writer.append(log_line(1))
"""
    run_writer(code, tmp_path, run_alone)

    assert _times(tmp_path) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("marks", ["[]", "[start_line(1, 'a')]"], ids=["no request", "an open request"])
def test_a_process_that_ends_seals_its_segment(tmp_path, marks):
    """It leaves a file as long as its lines; unsealed where a request is open, which the end of the process aborts."""
    code = f"""
from dashcam.spool.writer import Writer
shared = {{"service": {{"name": "cars"}}}}
writer = Writer(Path(sys.argv[1]) / "here" / "cars", lambda: shared, 1 << 30, lambda: {marks})
writer.append(log_line(1))
"""
    run_writer(code, tmp_path)

    (path,) = segment_files(tmp_path)
    with SegmentReader(path) as reader:
        assert reader.header.is_sealed == (marks == "[]")
        assert reader.is_final()
    assert path.stat().st_size < (1000 if marks == "[]" else 65_537)
