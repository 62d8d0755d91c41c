"""A service's own secrets: names and patterns, as `DASHCAM_MASK` and `DASHCAM_MASK_ALLOW` have them."""

import re
import time
from dataclasses import dataclass
from typing import Final

PERSONAL_DATA: Final = "personal-data"
MAX_PATTERN_S: Final = 0.02  # of CPU for a text of MAX_PROBE characters; one that is passed over takes a tenth of it
MAX_PROBE: Final = 4096
_SMALL_PROBES = 32  # up to here each length is tried: what doubles with a character must not be given two more
_ITEM = re.compile(r"\s*(?:/((?:\\.|[^\\/])+)/|([^,/\s][^,/]*?))\s*(?:,|\Z)")


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """Names of fields, in lower case, patterns of values, and whether personal data is meant too."""

    names: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[bytes], ...] = ()
    has_personal_data: bool = False


def read_own_secrets(value: str) -> OwnSecrets:
    """Read names and `/patterns/` with commas between them, such as `vin, customer_no, /ACME-[0-9]{8}/`.

    Raises `ValueError` for a pattern that is not a regular expression, or takes very long on some text.
    """
    names, patterns, at = set(), [], 0
    while at < len(value):
        if not (item := _ITEM.match(value, at)):
            raise ValueError("names and /patterns/ with commas between them")
        at = item.end()
        if item[1]:
            try:
                pattern = re.compile(item[1].replace("\\/", "/").encode())
            except re.error as fault:
                raise ValueError(f"regular expressions: {fault}") from fault
            if pattern.search(b""):
                raise ValueError("patterns that do not match an empty text")
            if takes_long(pattern):
                raise ValueError("patterns that are fast on every text: limit each repetition, as in .{0,100}")
            patterns.append(pattern)
        elif not 3 <= len(item[2].encode()) <= 32:
            raise ValueError("names of 3 to 32 letters")
        else:
            names.add(item[2].lower())
    return OwnSecrets(frozenset(names - {PERSONAL_DATA}), tuple(patterns), PERSONAL_DATA in names)


def takes_long(pattern: re.Pattern[bytes]) -> bool:
    """Return True if the time of a search grows faster than the length of a text that almost matches."""
    lengths = [*range(1, _SMALL_PROBES), *(2**power for power in range(5, MAX_PROBE.bit_length()))]
    return any(_seconds(pattern, piece, length) > MAX_PATTERN_S for length in lengths for piece in _pieces(pattern))


def _pieces(pattern: re.Pattern[bytes]) -> list[bytes]:
    """Return what a text that almost matches is made of: the pattern's own letters, and one of each class."""
    own = re.sub(rb"\\[a-zA-Z]|[^\w@.:/=-]", b"", pattern.pattern)
    return [
        *{bytes([byte]) for byte in own[:16]},
        own[:16] or b"a",
        b"a",
        b"0",
        b" ",
        b"a0",
        b"a ",
        b"A-",
        b"a.",
        b"a@",
    ]


def _seconds(pattern: re.Pattern[bytes], piece: bytes, length: int) -> float:
    text = (piece * length)[:length] + b"\0"
    begun_s = time.thread_time()
    pattern.search(text)
    return time.thread_time() - begun_s
