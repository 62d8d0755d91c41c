"""Events that their destination will never take: one JSON line each, with the reason, readable and replayable."""

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from dashcam.event import EncodedEvent

LETTERS = ".jsonl"
REPLAYING = ".replaying"


class DeadLetter(NamedTuple):
    """An event that was refused, when and why."""

    time: str
    reason: str
    line: EncodedEvent


class DeadLetters:
    """The file of one route, `dead-letters/ROUTE.jsonl`; `add` may be called from several threads."""

    def __init__(self, folder: Path, route: str) -> None:
        self.path = folder / f"{route}{LETTERS}"
        self._adding = threading.Lock()

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Keep the letters; they are on the disk when this returns. Raises `OSError`."""
        text = b"".join(_encode(letter) + b"\n" for letter in letters)
        with self._adding:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, opened for appending: a replay of another process does not take it away meanwhile."""
        while True:
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(file, self.path):
                    yield file
                    return

    def read(self) -> Iterator[DeadLetter]:
        """The letters, oldest first, an event that was refused twice only once; none when there is no file."""
        return iter(_read(self.path).values())

    @contextmanager
    def replay(self) -> Iterator[dict[str, DeadLetter]]:
        """The letters by the ids of their events, taken out of the file; what is left of them is put back."""
        aside = self.path.with_suffix(REPLAYING)
        if aside.exists():  # a replay was killed
            self.add(_read(aside).values())
            aside.unlink()
        if self.path.exists():
            self.path.rename(aside)
        waiting = _read(aside)
        try:
            yield waiting
        finally:
            if waiting:
                self.add(waiting.values())
            aside.unlink(missing_ok=True)

    def count_replayed(self, events: int) -> None:
        """Take so many events out of the account of dead ones."""
        counts = dict(replayed(self.path.parent))
        counts[self.path.stem] = counts.get(self.path.stem, 0) + events
        new = self.path.with_name(".replayed.new")
        new.write_bytes(orjson.dumps(counts))
        new.replace(self.path.with_name("replayed.json"))


def names_in(folder: Path) -> list[str]:
    """Those that have letters."""
    return sorted({path.stem for path in folder.glob("*") if path.suffix in {LETTERS, REPLAYING}})


def replayed(folder: Path) -> Mapping[str, int]:
    """How many letters were delivered after all, by name."""
    try:
        counts: Mapping[str, int] = orjson.loads((folder / "replayed.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return counts


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
        letters = [_decode(text) for text in file if text.endswith(b"\n")]
    found: dict[str, DeadLetter] = {}
    for letter in letters:
        if letter:
            found.setdefault(letter.line.id, letter)
    return found


def _encode(letter: DeadLetter) -> bytes:
    head = {"time": letter.time, "reason": letter.reason, "id": letter.line.id, "is_span": letter.line.is_span}
    return orjson.dumps(head | {"event": letter.line.data.decode("utf-8", "replace")})


def _decode(text: bytes) -> DeadLetter | None:
    """A letter of a line; `None` for a line that a full disk or a kill left in pieces."""
    try:
        fields = orjson.loads(text)
        line = EncodedEvent(fields["id"], fields["is_span"], fields["event"].encode())
        return DeadLetter(fields["time"], fields["reason"], line)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
