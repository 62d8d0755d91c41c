from collections.abc import Callable

def pack_entries(
    text: bytes, begin: int, ends: memoryview, spans: bytes, begin_entry: Callable[[bytes], bytes], /
) -> tuple[bytes, bytes, list[int]]: ...
