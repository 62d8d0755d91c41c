from collections.abc import Callable

def collect(
    lines: list[bytes], number: Callable[[bytes], tuple[str, int]], /
) -> tuple[str, list[int], list[bytes | None], list[int | None]]: ...
