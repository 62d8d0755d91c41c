from array import array

def checksums(
    text: bytes, ends: memoryview | array[int], /, *, with_vectors: bool = True
) -> tuple[bytes, bytes, bytes]: ...
