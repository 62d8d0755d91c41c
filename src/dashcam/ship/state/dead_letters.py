"""Events that their destination never accepts: one JSON line each, with the reason, readable and replayable."""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from dashcam import machine
from dashcam.errors import DashcamError
from dashcam.event import EncodedEvent
from dashcam.ship.state.journal import Journal, read_journal, write_all

LETTERS = ".jsonl"
REPLAYING = ".replaying"
REPLAYED = ".replayed"


class DeadLetter(NamedTuple):
    """An event that was rejected, when and why."""

    time: str
    reason: str
    event: EncodedEvent


class DeadLetters:
    """The file of one route, `dead-letters/ROUTE.jsonl`; `add` may be called from several threads."""

    def __init__(self, folder: Path, route: str) -> None:
        self.path = folder / f"{route}{LETTERS}"
        self._adding = machine.Lock()

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Keep the letters; they are on the disk when this returns. Raises `OSError`."""
        text = b"".join(
            orjson.dumps(
                {
                    "time": letter.time,
                    "reason": letter.reason,
                    "id": letter.event.id,
                    "is_span": letter.event.is_span,
                    "event": letter.event.data.decode("utf-8", "replace"),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for letter in letters
        )
        with self._adding:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as file:
                # A full disk or a kill may have left a letter in pieces; the next one begins a line of its own.
                is_torn = file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
                write_all(file.fileno(), b"\n" + text if is_torn else text)
                os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, opened for appending: a replay of another process does not take it away meanwhile."""
        while True:
            with self.path.open("ab+", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, self.path):
                    yield file
                    return

    def read(self) -> Iterator[DeadLetter]:
        """Yield the letters, oldest first; an event that was rejected twice comes once."""
        return iter(_read(self.path).values())

    @contextmanager
    def replay(self) -> Iterator["Replay"]:
        """Take the letters out of the file, and put the remaining ones back in the end.

        Raises `DashcamError` when another replay is at work on them.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_suffix(REPLAYING)
        with self.path.with_suffix(".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DashcamError(f"{self.path} is being replayed by another process; wait for it") from None
            counted = self.path.with_suffix(REPLAYED)
            total, done = _read_replayed(counted)
            if aside.exists():  # a replay was killed
                self.add(letter for id_, letter in _read(aside).items() if id_ not in done)
                aside.unlink()
            with closing(Journal(counted)) as journal:
                journal.rewrite([{"count": total}])
                if self.path.exists():
                    self.path.rename(aside)
                replay = Replay(_read(aside), journal)
                try:
                    yield replay
                finally:
                    if replay.waiting:
                        self.add(replay.waiting.values())
                    aside.unlink(missing_ok=True)
                    journal.rewrite([{"count": total + replay.delivered}])


class Replay:
    """Letters that are being sent once more, `waiting` by the IDs of their events."""

    def __init__(self, waiting: dict[str, DeadLetter], journal: Journal) -> None:
        self.waiting = waiting
        self.delivered = 0
        self._journal = journal

    def settle(self, events: Sequence[EncodedEvent], delivered: int, _dead: int) -> None:
        """Take events out that are delivered, or are letters again; a killed replay does not send them once more."""
        self._journal.append({"ids": [event.id for event in events], "count": delivered})
        self._journal.sync()
        self.delivered += delivered
        for event in events:
            del self.waiting[event.id]


def names_in(folder: Path) -> list[str]:
    """Return the names that have letters."""
    return sorted({path.stem for path in folder.glob("*") if path.suffix in {LETTERS, REPLAYING}})


def count_replayed(folder: Path, name: str) -> int:
    """Return how many letters of a name were delivered after all."""
    return _read_replayed(folder / f"{name}{REPLAYED}")[0]


def _read_replayed(path: Path) -> tuple[int, set[str]]:
    """Return how many letters were delivered, and the IDs that the last replay is done with, if it was killed."""
    total, done = 0, set()
    for record in read_journal(path).records:
        total += record.get("count", 0)
        done.update(record.get("ids", ()))
    return total, done


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, DeadLetter]:
    if not path.exists():
        return {}
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        letters = [decode_letter(text) for text in file if text.endswith(b"\n")]
    found: dict[str, DeadLetter] = {}
    for letter in letters:
        if letter:
            found.setdefault(letter.event.id, letter)
    return found


def decode_letter(text: bytes) -> DeadLetter | None:
    """Return the letter of a line; `None` for a line that a full disk or a kill left in pieces."""
    try:
        fields = orjson.loads(text)
        event = EncodedEvent(fields["id"], fields["is_span"], fields["event"].encode())
        return DeadLetter(fields["time"], fields["reason"], event)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
