from collections.abc import Sequence

from dashcam.event import EncodedEvent
from dashcam.spool.reader import Position

def parse(
    text: bytes, offset: int, sequence: int, position: type[Position], heads: tuple[bytes, ...], /
) -> tuple[list[tuple[bytes, Position]], int, int, int, list[tuple[int, int, int]], dict[bytes, int]]: ...
def expand(
    kind: type[EncodedEvent], segment: str, head: bytes, tail: bytes, line: bytes, sequence: int, /
) -> EncodedEvent | None: ...
def expand_all(
    kind: type[EncodedEvent],
    segment: str,
    head: bytes,
    tail: bytes,
    lines: Sequence[tuple[bytes, tuple[int, int]]],
    begin: int,
    events: list[EncodedEvent],
    /,
) -> int: ...
def headed(lines: Sequence[tuple[bytes, Position]], heads: tuple[bytes, ...], /) -> list[tuple[bytes, Position]]: ...
