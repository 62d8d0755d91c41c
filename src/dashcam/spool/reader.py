"""Takes lines out of segments, whether their writer lives, has sealed them, or was killed."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from dashcam.spool.line import CALL_END, LEVEL_AT, REQUEST_HEAD, is_line, level_at, time_of
from dashcam.spool.lock import is_locked
from dashcam.spool.segment import (
    LINE_BYTES,
    MAX_SEGMENT_BYTES,
    OPEN,
    SEALED_AT,
    SUFFIX,
    Header,
    decode_header,
    service_folder,
)

READ_BYTES = 64 << 10  # at once: what is made of it is still in the processor's cache for the next step
MAX_READ_BYTES = 2 * LINE_BYTES  # where that much holds no whole line
HEADER_BYTES = 4096  # most headers are much shorter
NO_DATA = (b"", b"\0")  # a byte of a segment where nothing was written yet
HALF_MADE_S = 60.0  # a segment is made in milliseconds; one without a name for so long has nobody to give it one


_IS_HALF_MADE = re.compile(r"\.[0-9a-f]{24}")


class Position(NamedTuple):
    """A position in a segment: the offset of the next byte, and the `sequence` of the line before it.

    The sequence of a line is its offset.
    """

    offset: int = 0
    sequence: int = 0


class Held(NamedTuple):
    """The lines that were held of a text: where they stand in it, and how many each request has.

    `offset` is that of the text. `ranges` have the offsets of the first and behind the last of held lines that follow
    each other, and how many they are. A request's lines are at most so many: a caller's text may look like an ID.
    """

    text: bytes
    offset: int
    ranges: Sequence[tuple[int, int, int]]
    requests: Mapping[bytes, int]

    @property
    def lines(self) -> int:
        """The number of lines that are held."""
        return sum([lines for _, _, lines in self.ranges])

    @property
    def bytes(self) -> int:
        """The bytes of those lines, newlines included."""
        return sum([end - begin for begin, end, _ in self.ranges])

    @property
    def begin(self) -> int:
        """The offset of the first of them."""
        return self.ranges[0][0]

    @property
    def end(self) -> int:
        """The offset behind the last of them."""
        return self.ranges[-1][1]

    @property
    def since_ns(self) -> int:
        """The time of the first of them."""
        begin = self.begin - self.offset
        return time_of(self.text[begin : begin + LEVEL_AT + 1])


class ReadResult(NamedTuple):
    """Lines read in one go, each with the position after it, and the position after all of them.

    `damaged` counts the places where something stands that is not a line. `held` are the lines that were left where
    they are, where that was asked for.
    """

    lines: list[tuple[bytes, Position]]
    after: Position
    damaged: int = 0
    held: Held | None = None


def segment_files(spool: Path) -> list[Path]:
    """Every segment below a spool folder, oldest first."""
    return sorted(spool.glob(f"*/*/*{SUFFIX}"), key=lambda path: path.name)


def orphaned_files(spool: Path, now_s: float) -> list[Path]:
    """Files that were to become segments when their process was killed: nothing was recorded in them."""
    hidden = (path for path in spool.glob("*/*/.*") if _IS_HALF_MADE.fullmatch(path.name))
    return [path for path in hidden if _is_left_alone(path, now_s)]


def _is_left_alone(path: Path, now_s: float) -> bool:
    try:
        # Its age comes first: the lock is the maker's, who must not find it taken.
        if now_s - path.stat().st_mtime <= HALF_MADE_S:
            return False
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return not is_locked(file)
        finally:
            os.close(file)
    except OSError:  # it has got its name meanwhile, its maker holds it, or it is not ours to open
        return False


class SegmentReader:
    """One open segment, read with `read` from any position.

    Raises `ValueError` when the file is not a segment, `OSError` when it cannot be read. It follows no link and waits
    for nobody, whatever stands there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            self._status = os.fstat(self._file)
            _check_file(self._status)
            self.header_end, self.header = self._read_header()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _read_header(self) -> tuple[int, Header]:
        start = os.pread(self._file, HEADER_BYTES, 0)
        if b"\n" not in start:
            start = os.pread(self._file, MAX_READ_BYTES, 0)
        end = start.find(b"\n") + 1
        return end, decode_header(start[:end])

    def check_place(self) -> None:
        """Raise `ValueError` unless the header, the name, the folder and the owner of the file agree.

        Whoever may write to one service's folder cannot speak for another service. The owner is that of the folder, or
        root, or this process; in a folder that the group may write to, its members trust each other.
        """
        header, folder = self.header, self.path.parent
        if self.path.name != f"{header.segment}{SUFFIX}":
            raise ValueError(f"its header is that of segment {header.segment}")
        host = header.shared.get("host")
        host_name = host.get("name") if isinstance(host, dict) else None
        expected = service_folder(folder.parents[1], str(host_name or folder.parent.name), header.service)
        if (host_name and folder != expected) or folder.name != expected.name:
            raise ValueError(f"its header is that of service {header.service} on host {host_name}")
        above = folder.stat()
        is_trusted = self._status.st_uid in {0, above.st_uid, os.geteuid()} or above.st_mode & stat.S_IWGRP
        if not is_trusted:
            raise ValueError(f"it belongs to user {self._status.st_uid}, the folder to user {above.st_uid}")

    def refresh(self) -> Header:
        """The header as it stands now: whether the segment is sealed, and how much was dropped, changes."""
        _, self.header = self._read_header()
        return self.header

    def is_final(self) -> bool:
        """Return whether nothing more will be written: the segment is sealed, or its writer is gone."""
        if not self.header.is_sealed and os.pread(self._file, 1, SEALED_AT) != OPEN:
            self.refresh()
        if self.header.is_sealed:
            return True
        return not is_locked(self._file)

    def has_more(self, offset: int) -> bool:
        """Return whether anything stands behind an offset that was read up to."""
        return os.pread(self._file, 1, offset) not in NO_DATA

    def sync(self) -> None:
        """Bring what was written so far from the kernel's memory to the disk."""
        os.fsync(self._file)

    def read(
        self,
        position: Position = Position(),  # noqa: B008
        *,
        is_final: bool = False,
        parse: "Parse | None" = None,
    ) -> ReadResult:
        """The complete lines that follow a position, some dozens of kilobytes of them; none at the end.

        `parse` makes lines of a text, instead of `parse_lines`.

        A line is complete when it ends in a newline and holds no zero byte. In a live segment reading stops at the
        first zero byte; in a final one what stands there was damaged, and reading goes on behind it.
        """
        start, text = self.whole_lines(position, is_final=is_final)
        if is_final and not text:
            return self.skip(start, position.sequence)
        return (parse or parse_lines)(text, start, position.sequence)

    def whole_lines(self, position: Position, *, is_final: bool) -> tuple[int, bytes]:
        """Return where a passage begins that follows a position, and as much of it as ends in a newline."""
        start = max(position.offset, self.header_end)
        block = self._block(start, READ_BYTES, is_final=is_final)
        if len(block) == READ_BYTES and b"\n" not in block:
            block = self._block(start, MAX_READ_BYTES, is_final=is_final)
        return start, block[: block.rfind(b"\n") + 1]

    def skip(self, start: int, sequence: int) -> ReadResult:
        """Go behind the next newline, or the last byte that is written; what lies before is no whole line.

        Zeros up to the end are none of it: nothing was written there, and something may be yet.
        """
        is_damaged, written = False, start
        while block := os.pread(self._file, MAX_READ_BYTES, start):
            end = block.find(b"\n") + 1
            is_damaged = is_damaged or block.count(0) < len(block)
            if text := block[:end] if end else block.rstrip(b"\0"):
                written = start + len(text)
            start += len(block)
            if end:
                break
        return ReadResult([], Position(written, sequence), damaged=int(is_damaged))

    def passages(
        self,
        start: Position = Position(),  # noqa: B008
        *,
        is_final: bool,
    ) -> Iterator[ReadResult]:
        """All that the segment holds now from a position on, passage by passage."""
        passage = self.read(start, is_final=is_final)
        while passage.lines or passage.damaged:
            yield passage
            passage = self.read(passage.after, is_final=is_final)

    def _block(self, start: int, most_bytes: int, *, is_final: bool) -> bytes:
        if not is_final and os.pread(self._file, 1, start) in NO_DATA:
            return b""
        block = os.pread(self._file, most_bytes, start)
        zero = -1 if is_final else block.find(b"\0")
        return block if zero < 0 else block[:zero]


def _check_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > MAX_SEGMENT_BYTES:
        raise ValueError(f"it is larger than any segment: {status.st_size:,} bytes")


Parse = Callable[[bytes, int, int], ReadResult]


def parse_lines(text: bytes, offset: int, sequence: int, heads: tuple[bytes, ...] = ()) -> ReadResult:
    """Return the lines of a text that begins at an offset; `sequence` is that of the line before it.

    Log calls that have one of some beginnings behind the time are held.
    """
    lines, end, sequence, damaged, ranges, requests = _parse(text, offset, sequence, Position, heads)
    held = Held(text, offset, ranges, requests) if ranges else None
    return ReadResult(lines, Position(end, sequence), damaged, held)


Lines = Sequence[tuple[bytes, Position]]
_Parsed = tuple[list[tuple[bytes, Position]], int, int, int, list[tuple[int, int, int]], dict[bytes, int]]


def _parse_in_python(
    text: bytes, offset: int, sequence: int, position: type[Position], heads: tuple[bytes, ...]
) -> _Parsed:
    lines, damaged, held, requests = [], 0, list[tuple[int, int, int]](), Counter[bytes]()
    for line in text.split(b"\n")[:-1]:
        end = offset + len(line) + 1
        if not is_line(line):
            damaged += 1
        elif line.startswith(heads, level_at(line)) and line.endswith(CALL_END):
            sequence = offset
            begin, _, count = held.pop() if held and held[-1][1] == offset else (offset, offset, 0)
            held.append((begin, end, count + 1))
            before, _, after = line.rpartition(REQUEST_HEAD)
            if before and (request := after.partition(b'"')[0]):
                requests[request] += 1
        else:
            sequence = offset
            lines.append((line, position(end, sequence)))
        offset = end
    return lines, offset, sequence, damaged, held, requests


def headed(lines: Lines, heads: tuple[bytes, ...]) -> list[tuple[bytes, Position]]:
    """Return the lines that have one of some beginnings where their level or their kind stands."""
    return [each for each in lines if each[0].startswith(heads, max(level_at(each[0]), 0))]


try:
    from dashcam.spool._lines import parse as _parse
except ImportError:  # there was no compiler
    _parse = _parse_in_python
