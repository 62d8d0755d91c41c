def actions(
    text: bytes,
    begin: int,
    ends: memoryview,
    spans: bytes,
    sequences: memoryview,
    logs: bytes,
    spans_: bytes,
    /,
) -> bytes: ...
