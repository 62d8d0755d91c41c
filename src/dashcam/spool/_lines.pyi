from dashcam.event import EncodedEvent
from dashcam.spool.reader import Position

def parse(
    text: bytes, offset: int, sequence: int, position: type[Position], heads: tuple[bytes, ...], /
) -> tuple[list[tuple[bytes, Position]], int, int, int, list[tuple[int, int, int]], dict[bytes, int]]: ...
def expand(
    kind: type[EncodedEvent], segment: str, head: bytes, tail: bytes, line: bytes, sequence: int, /
) -> EncodedEvent | None: ...
def read_events(
    text: bytes,
    offset: int,
    sequence: int,
    position: type[Position],
    held: tuple[bytes, ...],
    telling: tuple[bytes, ...],
    head: bytes,
    tail: bytes,
    /,
) -> tuple[
    tuple[bytes, bytes, bytes, bytes, bytes],
    int,
    list[tuple[bytes, Position]],
    int,
    int,
    int,
    list[tuple[int, int, int]],
    dict[bytes, int],
]: ...
def make_events(
    kind: type[EncodedEvent],
    segment: str,
    text: bytes,
    begin: int,
    ends: memoryview,
    spans: bytes,
    sequences: memoryview,
    /,
) -> list[EncodedEvent]: ...
