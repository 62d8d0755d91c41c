"""Regular expressions that are compiled when they are first used: those that find secrets take 20 ms at each start."""

import re
from typing import Any, cast


class _LazyPattern:
    """Has the methods of a pattern as its own attributes, once one of them was asked for."""

    def __init__(self, source: bytes, flags: re.RegexFlag) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self._source, self._flags)
        for method in ("match", "search", "fullmatch", "finditer"):
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def lazy_pattern(source: bytes, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[bytes]:
    """Return a pattern that `re.compile` makes of its source when it is first used.

    >>> lazy_pattern(rb"[0-9]+").match(b"42 cars")[0]
    b'42'
    """
    return cast("re.Pattern[bytes]", _LazyPattern(source, flags))
