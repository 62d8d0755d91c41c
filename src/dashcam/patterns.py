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


class UnusableEntriesError(ValueError):
    """Some entries of a value cannot be used; `usable` has the others."""

    def __init__(self, reason: str, usable: OwnSecrets) -> None:
        super().__init__(reason)
        self.usable = usable


def read_own_secrets(value: str) -> OwnSecrets:
    """Read names and `/patterns/` with commas between them, such as `vin, customer_no, /ACME-[0-9]{8}/`.

    Raises `UnusableEntriesError` for a pattern that is not a regular expression, or takes very long on some text.
    """
    names, patterns, faults, at = set(), [], [], 0
    while at < len(value):
        item = _ITEM.match(value, at)
        at = item.end() if item else value.find(",", at) + 1 or len(value)
        try:
            if not item:
                faults.append("names and /patterns/ with commas between them")
            elif item[1]:
                patterns.append(_read_pattern(item[1]))
            else:
                names.add(_read_name(item[2]))
        except ValueError as fault:
            faults.append(str(fault))
    own = OwnSecrets(frozenset(names - {PERSONAL_DATA}), tuple(patterns), PERSONAL_DATA in names)
    if faults:
        raise UnusableEntriesError("; ".join(dict.fromkeys(faults)), own)
    return own


def _read_name(text: str) -> str:
    if not 3 <= len(text.encode()) <= 32:
        raise ValueError("names of 3 to 32 letters")
    return text.lower()


def _read_pattern(text: str) -> re.Pattern[bytes]:
    try:
        pattern = re.compile(text.replace("\\/", "/").encode())
    except re.error as fault:
        raise ValueError(f"regular expressions: {fault}") from fault
    if pattern.search(b""):
        raise ValueError("patterns that do not match an empty text")
    if takes_long(pattern):
        raise ValueError("patterns that are fast on every text: limit each repetition, as in .{0,100}")
    return pattern


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
