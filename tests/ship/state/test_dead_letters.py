"""Events that were refused, kept to be read and sent again."""

import fcntl
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from dashcam.event import EncodedEvent
from dashcam.ship.state.dead_letters import DeadLetter, DeadLetters, count_replayed, names_in

from ...processes import run, until

LETTER = DeadLetter(
    "2026-11-24T01:35:46.123456Z", "too odd", EncodedEvent("seg-00000001", is_span=True, data='{"é":"🚗"}'.encode())
)


def _letter(number):
    return LETTER._replace(event=EncodedEvent(f"seg-{number:08d}", is_span=False, data=b"{}"))


def test_a_letter_is_read_again(tmp_path):
    """Byte for byte."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([LETTER, _letter(2)])
    letters.add([_letter(3)])

    assert list(letters.read()) == [LETTER, _letter(2), _letter(3)]
    assert names_in(tmp_path) == ["loggly"]


def test_no_letters(tmp_path):
    """No file either."""
    assert list(DeadLetters(tmp_path, "loggly").read()) == []
    assert names_in(tmp_path) == []


def test_an_event_that_was_refused_twice(tmp_path):
    """A resend that was refused too is no second letter; the first reason stands."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([LETTER])
    letters.add([LETTER._replace(reason="still too odd")])

    assert list(letters.read()) == [LETTER]


def test_a_line_in_pieces(tmp_path):
    """What a kill or a full disk left of a letter is passed over, and the next one is whole."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([LETTER])
    whole = letters.path.read_bytes()
    for piece in (
        b'{"time":7}\n',
        b"garbage\n",
        b"\0\0\0\n",
        b"[]\n",
        b'{"time":"t","reason":"r","id":"i","is_span":0,"event":7}\n',
    ):
        letters.path.write_bytes(piece + whole + whole[:-20])
        assert list(letters.read()) == [LETTER]


def test_bytes_that_are_no_text(tmp_path):
    """A letter is one line of JSON, whatever the event was."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([LETTER._replace(event=EncodedEvent("a", is_span=False, data=b"\xff{\n}"))])

    assert [letter.event.data for letter in letters.read()] == ["\ufffd{\n}".encode()]
    assert letters.path.read_bytes().count(b"\n") == 1


def test_threads_do_not_mix_their_letters(tmp_path):
    """Each line is whole."""
    letters = DeadLetters(tmp_path, "loggly")
    threads = [threading.Thread(target=letters.add, args=([_letter(10 * n + m) for m in range(10)],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(letter.event.id for letter in letters.read()) == [f"seg-{number:08d}" for number in range(80)]


def test_what_a_replay_leaves_is_kept(tmp_path):
    """Also when the replay fails; what it took out is gone, what came meanwhile is there too."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([_letter(1), _letter(2), _letter(3)])

    with suppress(KeyboardInterrupt), letters.replay() as replay:
        del replay.waiting[_letter(2).event.id]
        letters.add([_letter(4)])
        raise KeyboardInterrupt

    assert sorted(letter.event.id[-1] for letter in letters.read()) == ["1", "3", "4"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, to see that the file is open twice")
def test_a_letter_does_not_go_with_a_file_that_a_replay_takes_away(tmp_path):
    """It was opened before the replay and is locked after it: the letter goes into a new one."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([_letter(1)])
    with letters.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        adding = threading.Thread(target=letters.add, args=([_letter(2)],))
        adding.start()
        until(lambda: _times_open(letters.path) == 2, "file opened by the other thread")
        letters.path.rename(tmp_path / "away")
        fcntl.flock(file, fcntl.LOCK_UN)
        adding.join()

    assert [letter.event.id[-1] for letter in letters.read()] == ["2"]


def _times_open(path):
    return sum(link.is_symlink() and link.readlink() == path for link in Path("/proc/self/fd").iterdir())


def test_a_letter_after_a_torn_one_stands_alone(tmp_path):
    """Whatever a full disk left of the one before."""
    letters = DeadLetters(tmp_path, "loggly")
    letters.add([_letter(1), _letter(2)])
    whole = letters.path.read_bytes()
    for cut in (1, 5, 40):
        letters.path.write_bytes(whole[:-cut])
        letters.add([_letter(3)])

        assert {letter.event.id[-1] for letter in letters.read()} == ({"1", "2", "3"} if cut == 1 else {"1", "3"})


def test_a_replay_that_is_killed_counts_once(tmp_path):
    """What it was done with is delivered, and is not sent again; the rest waits for the next replay."""
    code = """
import os, sys
from pathlib import Path
from dashcam.event import EncodedEvent
from dashcam.ship.state.dead_letters import DeadLetter, DeadLetters
letters = DeadLetters(Path(sys.argv[1]), "loggly")
letters.add(DeadLetter("t", "r", EncodedEvent(f"seg-{n}", False, b"{}")) for n in range(5))
with letters.replay() as replay:
    replay.settle([replay.waiting[f"seg-{n}"].event for n in (1, 3)], 2, 0)
    os.kill(os.getpid(), 9)
"""
    with suppress(AssertionError):
        run(code, tmp_path)
    assert count_replayed(tmp_path, "loggly") == 2

    with DeadLetters(tmp_path, "loggly").replay() as replay:
        assert sorted(replay.waiting) == ["seg-0", "seg-2", "seg-4"]
        replay.settle([letter.event for letter in replay.waiting.values()], 3, 0)

    assert count_replayed(tmp_path, "loggly") == 5
    assert names_in(tmp_path) == []
