from dashcam.event import EncodedEvent
from dashcam.spool.reader import Position

def parse(
    text: bytes, offset: int, sequence: int, position: type[Position], /
) -> tuple[list[tuple[bytes, Position]], int, int, int]: ...
def expand(
    kind: type[EncodedEvent], segment: str, head: bytes, tail: bytes, line: bytes, sequence: int, /
) -> EncodedEvent | None: ...
