"""The record of a route's clips, in `clips/ROUTE.journal`: written before a line of one is sent.

The next shipper goes on with a clip that was opened and not reported. `dashcam keep` asks for a clip by a file
in `clips/ROUTE.asked`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from dashcam import machine
from dashcam.event import format_time
from dashcam.ship.state.journal import Journal, read_journal, replace_file

FOLDER = "clips"
MAX_CLIPS = 5_000  # that are remembered
MAX_BYTES = 4 << 20  # of the journal, before it is rewritten

_SUFFIX, _ASKED = ".journal", ".asked"


@dataclass(slots=True)
class Clip:
    """One clip: the request, the rule that kept it, the time, and the number of lines and bytes sent so far.

    A clip without a request has the lines of a process from `since_ns` to `offset` of a segment. `segment` is the one
    with the line that caused the verdict, empty for a verdict of another host or by hand. `expired` lines were removed
    before they could be sent.
    """

    id: str
    request: str
    reason: str
    time_ns: int
    segment: str = ""
    offset: int = 0
    since_ns: int = 0
    trace: str = ""
    lines: int = 0
    bytes: int = 0
    expired: int = 0
    is_told: bool = False

    @property
    def time(self) -> str:
        """The time as `@timestamp` has it."""
        return format_time(self.time_ns)


@dataclass(slots=True)
class Totals:
    """The sums of a route: lines and bytes that were held, requests beyond the budget, headers that were refused."""

    held_lines: int = 0
    held_bytes: int = 0
    left_out: int = 0
    refused: int = 0


@dataclass(slots=True)
class RouteClips:
    """The clips of a route by their IDs, the oldest first, and its sums."""

    clips: dict[str, Clip] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)


class ClipJournal:
    """The journal of one route's clips at work. Not for use by several threads."""

    def __init__(self, folder: Path, route: str) -> None:
        self._path = folder / FOLDER / f"{route}{_SUFFIX}"
        self._asked = folder / FOLDER / f"{route}{_ASKED}"
        self._journal = Journal(self._path)
        self._synced_at_s = 0.0
        self.state = load_clips(folder, route)

    def rewrite(self) -> None:
        """Write the newest `MAX_CLIPS` clips. Raises `OSError`."""
        clips = self.state.clips
        for id_ in list(clips)[: max(0, len(clips) - MAX_CLIPS)]:
            del clips[id_]
        self._journal.rewrite([_encoded(self.state.totals), *map(_encoded, clips.values())])

    def append(self, records: Iterable[Clip | Totals]) -> None:
        """Write the current state of clips and sums. Raises `OSError`."""
        for record in records:
            if isinstance(record, Clip):
                self.state.clips[record.id] = record
            else:
                self.state.totals = record
            self._journal.append(_encoded(record))
        if self._journal.size_bytes > MAX_BYTES:
            self.rewrite()
        if machine.monotonic() - self._synced_at_s > 1:
            self._journal.sync()
            self._synced_at_s = machine.monotonic()

    def take_asked(self) -> Iterator[tuple[str, Path]]:
        """Yield the requests named by `dashcam keep`, each with the file to remove when the clip is written."""
        for path in sorted(self._asked.glob("*.json")):
            try:
                yield str(orjson.loads(path.read_bytes())["request"]), path
            except (OSError, ValueError, KeyError, TypeError):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


def load_clips(folder: Path, route: str) -> RouteClips:
    """Return the clips of a route below a `DASHCAM_DIR`. Raises `OSError` when the journal cannot be read."""
    found = RouteClips()
    for record in read_journal(folder / FOLDER / f"{route}{_SUFFIX}").records:
        if "id" not in record:
            found.totals = Totals(**_known(record, Totals))
            continue
        try:
            clip = Clip(**_known(record, Clip))
            found.clips[clip.id] = clip
        except TypeError:  # of another version
            continue
    return found


_NAMES = {kind: [each.name for each in fields(kind)] for kind in (Clip, Totals)}


def _encoded(record: Clip | Totals) -> dict[str, Any]:
    # Not by `asdict`, which takes ten times as long: an outage brings many of them.
    return {name: getattr(record, name) for name in _NAMES[type(record)]}


def _known(record: Mapping[str, Any], kind: type[Clip | Totals]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name in _NAMES[kind]}


def ask(folder: Path, route: str, request: str) -> Path:
    """Ask the shipper of a route to keep a request; return the file that the shipper removes then. Raises `OSError`."""
    path = folder / FOLDER / f"{route}{_ASKED}" / f"{machine.time_ns()}-{machine.token_hex(4)}.json"
    replace_file(path, orjson.dumps({"request": request}))
    return path
