"""Records made in half the time are those that the standard library makes."""

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
from pathlib import Path

import pytest

from dashcam.record.logs.log_record import is_known, make_record

from ..processes import run

OF_THE_MOMENT = ("created", "msecs", "relativeCreated")
ERROR = ValueError("no wheel")

CALLS = {
    "plain": ("cars", logging.INFO, "/srv/cars/api.py", 7, "car created", (), None, "create", None),
    "arguments": ("cars", logging.INFO, "/srv/cars/api.py", 7, "%d cars", (7,), None, "create", None),
    "one mapping": ("cars", logging.INFO, "/srv/cars/api.py", 7, "%(n)d cars", ({"n": 7},), None, "create", None),
    "an empty mapping": ("cars", logging.INFO, "/srv/cars/api.py", 7, "%s", ({},), None, "create", None),
    "an error": ("cars", logging.ERROR, "/srv/cars/api.py", 7, "m", (), (ValueError, ERROR, None), "create", "stack"),
    "a level of its own": ("cars", 23, "/srv/cars/api.py", 7, "m", (), None, "create", None),
    "a file of no module": ("cars", logging.INFO, "", 0, "m", (), None, None, None),
    "a hidden file": ("cars", logging.INFO, "/srv/.cars.tar.gz", 0, "m", (), None, None, None),
    "no text": ("cars", logging.INFO, "/srv/cars/api.py", 7, {"a": 1}, (), None, "create", None),
    "no path": ("cars", logging.INFO, None, 7, "m", (), None, "create", None),
    "what no key can be made of": (["cars"], logging.INFO, "/srv/cars/api.py", 7, "m", (), None, "create", None),
}


def _pair(*call):
    """The attributes of both, but for those of the moment, which only have to be near."""
    standard, quick = logging.LogRecord(*call).__dict__, make_record(*call).__dict__
    for name in OF_THE_MOMENT:
        assert type(quick[name]) is type(standard[name])
    assert 0 <= quick["created"] - standard["created"] < 5
    assert (
        abs(quick["relativeCreated"] - standard["relativeCreated"] - 1000 * (quick["created"] - standard["created"]))
        < 1
    )
    assert -0.01 < (quick["created"] * 1000 - quick["msecs"] + 500) % 1000 - 500 < 1.01  # whole milliseconds of it
    return [{name: value for name, value in each.items() if name not in OF_THE_MOMENT} for each in (standard, quick)]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_attribute(call):
    """The same names in the same order, the same values; at the first call and at the second."""
    for _ in range(2):
        standard, quick = _pair(*call)

        assert list(quick.items()) == list(standard.items())


def test_the_class_is_the_same():
    """Whoever asks for it, or copies the record, sees no difference."""
    record = make_record(*CALLS["arguments"])

    assert type(record) is logging.LogRecord
    assert (repr(record), record.getMessage()) == (repr(logging.LogRecord(*CALLS["arguments"])), "7 cars")


def test_records_share_nothing():
    """What one gets besides does not show on the next one of the same call."""
    make_record(*CALLS["plain"]).__dict__["car_id"] = 7

    assert "car_id" not in make_record(*CALLS["plain"]).__dict__


def test_who_runs():
    """Another thread and another task, after this one made the call."""
    make_record(*CALLS["plain"])
    found = []

    def note():
        found.append(_pair(*CALLS["plain"]))

    async def note_within():
        await asyncio.create_task(asyncio.to_thread(note), name="to a thread")
        note()

    thread = threading.Thread(target=note, name="mechanic")
    thread.start()
    thread.join()
    asyncio.run(note_within())

    assert found[0][1]["threadName"] == "mechanic"
    assert all(standard == quick for standard, quick in found)
    assert len(found) == 3


@pytest.mark.parametrize("flag", ["logThreads", "logProcesses", "logMultiprocessing"])
def test_what_a_program_does_not_want_to_know(monkeypatch, flag):
    """`logging` can be told to leave things out; also after the first call."""
    make_record(*CALLS["plain"])
    monkeypatch.setattr(logging, flag, value=False)

    standard, quick = _pair(*CALLS["plain"])

    assert standard == quick


def test_a_level_that_is_renamed(monkeypatch):
    """The new name, also where the old one was used before."""
    monkeypatch.setattr(logging, "_levelToName", dict(logging._levelToName))
    make_record(*CALLS["plain"])
    logging.addLevelName(logging.INFO, "notice")

    assert make_record(*CALLS["plain"]).levelname == "notice"


def test_a_forked_child():
    """It says its own process id, and by `multiprocessing` its own name."""
    make_record(*CALLS["plain"])
    queue = multiprocessing.get_context("fork").SimpleQueue()
    child = multiprocessing.get_context("fork").Process(
        target=lambda: queue.put([make_record(*CALLS["plain"]).__dict__[name] for name in ("process", "processName")]),
        name="garage",
    )
    child.start()
    child.join()

    assert queue.get() == [child.pid, "garage"]
    assert make_record(*CALLS["plain"]).process == os.getpid()


def test_init_has_them_made(tmp_path):
    """Unless the program makes records of its own; and this Python's records have no attribute we do not know."""
    code = """
import logging, os, sys
os.environ["DASHCAM_DIR"] = sys.argv[1]
class Own(logging.LogRecord): pass
if sys.argv[2] == "own":
    logging.setLogRecordFactory(Own)
import dashcam
dashcam.init("cars")
print(logging.getLogRecordFactory().__name__)
"""
    assert is_known
    assert run(code, tmp_path, "none").split() == ["make_record"]
    assert run(code, tmp_path, "own").split() == ["Own"]


def test_the_caller_is_the_caller(cars, caplog):
    """Other handlers see where the call stands."""
    logging.getLogger("library").warning("m")

    (record,) = caplog.records
    assert (record.filename, record.funcName) == (Path(__file__).name, sys._getframe().f_code.co_name)


def test_a_moment_before_a_full_second(monkeypatch):
    """Second and milliseconds are of the same time, as those of `logging` are."""
    monkeypatch.setattr("dashcam.record.logs.log_record.time_ns", lambda: 1_795_484_146_999_999_900)
    record = make_record("cars", logging.INFO, "cars.py", 1, "a car", (), None)

    assert (record.created, record.msecs) == (1_795_484_147.0, 0.0)
