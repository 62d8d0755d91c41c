"""Events that their destination will never take: one JSON line each, with the reason, readable and replayable."""

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from dashcam.event import Line


class DeadLetter(NamedTuple):
    """An event that was refused, when and why."""

    time: str
    reason: str
    line: Line


class DeadLetters:
    """The file of one route, `dead-letters/ROUTE.jsonl`; `add` may be called from several threads."""

    def __init__(self, folder: Path, route: str) -> None:
        self.path = folder / f"{route}.jsonl"
        self._adding = threading.Lock()

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Keep the letters; they are on the disk when this returns. Raises `OSError`."""
        text = b"".join(_encode(letter) + b"\n" for letter in letters)
        with self._adding:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

    def read(self) -> Iterator[DeadLetter]:
        """The letters, oldest first, an event that was refused twice only once; none when there is no file."""
        seen = set()
        if self.path.exists():
            with self.path.open("rb") as file:
                for text in file:
                    letter = _decode(text) if text.endswith(b"\n") else None
                    if letter and letter.line.id not in seen:
                        seen.add(letter.line.id)
                        yield letter


def _encode(letter: DeadLetter) -> bytes:
    head = {"time": letter.time, "reason": letter.reason, "id": letter.line.id, "is_span": letter.line.is_span}
    return orjson.dumps(head | {"event": letter.line.data.decode("utf-8", "replace")})


def _decode(text: bytes) -> DeadLetter | None:
    """A letter of a line; `None` for a line that a full disk or a kill left in pieces."""
    try:
        fields = orjson.loads(text)
        line = Line(fields["id"], fields["is_span"], fields["event"].encode())
        return DeadLetter(fields["time"], fields["reason"], line)
    except (ValueError, KeyError, TypeError):
        return None
