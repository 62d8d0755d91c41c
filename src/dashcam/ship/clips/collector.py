"""Collects the held lines of a request once a verdict keeps it. One collector per route.

The cursor passes the lines that it reads. A verdict is written to the journal before any held line is sent, so a
shipper that was killed in between continues with it; the route's checkpoint says which held lines were sent.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dashcam import machine
from dashcam.event import NS_PER_S, EncodedEvent
from dashcam.settings import Settings
from dashcam.ship.clips.clip_journal import FOLDER, Clip, ClipJournal
from dashcam.ship.clips.durations import load_durations, save_durations
from dashcam.ship.clips.events import announce, history, with_reason
from dashcam.ship.clips.held_index import HeldIndex, HeldLine, Place
from dashcam.ship.clips.verdicts import Verdict, Verdicts
from dashcam.ship.listing import open_segment
from dashcam.ship.state.checkpoint import CheckpointFile, SegmentOffset
from dashcam.spool.held import heads_below
from dashcam.spool.line import LineExpander, time_of
from dashcam.spool.reader import Held, Lines
from dashcam.spool.segment import Header

BEFORE_ERROR_NS = 10 * NS_PER_S  # of lines that are kept before an error outside of any request
ASKED_S = 0.5  # between two looks for requests of `dashcam keep`
NOTE_S = 1.0  # between two records of changed clips and sums
NOTE_DURATIONS_S = 60.0  # between two writes of the durations: a kill loses a minute of them
TURN_S = 0.02  # to look for held lines, before shipping goes on

_log = logging.getLogger("dashcam.ship")


class KeptEvent(NamedTuple):
    """A held event to ship, with its segment and its number there."""

    event: EncodedEvent
    segment: str
    number: int


class ClipCollector:
    """The clips of one route. Only `add_remote_verdict` and `mark_announced` are thread-safe."""

    def __init__(self, settings: Settings, file: CheckpointFile) -> None:
        self._level = settings.ship_level.lower()
        self.held_heads = heads_below(self._level)
        self._limit_bytes = settings.spool_limit_bytes
        self._file = file
        folder = settings.dir / FOLDER
        self._held_index = HeldIndex(file)
        self._durations_path = folder / f"{file.route}.durations"
        self._verdicts = Verdicts(settings, load_durations(self._durations_path))
        self._journal = ClipJournal(settings.dir, file.route)
        self._totals = replace(self._journal.state.totals)
        self._before = replace(self._totals)
        self._paths: Mapping[str, Path] = {}
        self._headers: dict[str, Header] = {}
        self._opening: list[Clip] = []
        self._work: deque[Iterator[KeptEvent | None]] = deque([self._index_earlier()])
        self._changed: dict[str, Clip] = {}
        self._remote_verdicts: deque[tuple[str, str]] = deque()
        self._announced: deque[str] = deque()
        self._announcements: list[tuple[str, EncodedEvent]] = []
        self._asked_at_s = self._noted_at_s = 0.0
        self._noted_durations_at_s = machine.monotonic()
        # Continue the clips that an earlier shipper began.
        for clip in self._journal.state.clips.values():
            if clip.request and machine.time_ns() - clip.time_ns < settings.hold_s * NS_PER_S:
                self._verdicts.keep(clip.request.encode(), clip.reason)
            if not clip.is_told:
                self._work.append(self._find(clip))

    @property
    def is_busy(self) -> bool:
        """True while there are held lines to look for."""
        return bool(self._work or self._opening)

    def open(self) -> None:
        """Rewrite the journal. Raises `OSError`."""
        self._journal.rewrite()

    def close(self) -> None:
        """Write the sums and the durations, and close the journal."""
        try:
            self._note()
            self._note_durations()
        except OSError as fault:
            _log.warning("%s: %s", fault.filename, fault.strerror)
        self._journal.close()

    def begin(self, segment: str, header: Header, mark: SegmentOffset) -> None:
        """Register a segment, which is read from an offset on."""
        if segment not in self._headers:
            self._headers[segment] = header
            self._held_index.pids[segment] = header.pid
            self._file.set_level(segment, mark.offset, self._level)

    def judge_lines(self, segment: str, lines: Lines) -> None:
        """Derive verdicts from the `TELLING` lines among the shipped ones."""
        service, judge = segment.rpartition("/")[0], self._verdicts.judge
        for line, after in lines:
            if verdict := judge(service, line):
                since_ns = 0 if verdict.request else time_of(line) - BEFORE_ERROR_NS
                self._begin_clip(verdict, segment, after.offset, since_ns)

    def judge_end(self, segment: str, events: Iterable[EncodedEvent]) -> None:
        """Derive verdicts from the events at the end of a segment."""
        for event in events:
            if verdict := self._verdicts.judge_end(event):
                self._begin_clip(verdict, segment)

    def _begin_clip(self, verdict: Verdict, segment: str, offset: int = 0, since_ns: int = 0) -> None:
        request = verdict.request.decode()
        id_ = request or f"{segment}@{offset}"
        clip = Clip(id_, request, verdict.reason, machine.time_ns(), segment, offset, since_ns, verdict.trace)
        self._journal.state.clips[id_] = clip
        self._opening.append(clip)

    def hold(self, segment: str, expander: LineExpander, held: Held) -> Iterator[KeptEvent]:
        """Index held lines, and yield the ones whose requests are kept already."""
        self._totals.held_lines += held.lines
        self._totals.held_bytes += held.bytes
        self._held_index.add(segment, held)
        for request in self._verdicts.kept.keys() & held.requests.keys():
            for line in self._held_index.claim_in(segment, held, request):
                yield self._keep(segment, expander, line, request.decode())

    def _keep(self, segment: str, expander: LineExpander, line: HeldLine, clip_id: str) -> KeptEvent:
        clip = self._journal.state.clips.get(clip_id)
        kept = self._verdicts.kept.get(clip_id.encode())
        reason = clip.reason if clip else kept.reason if kept else ""
        event = expander.expand(with_reason(line.text, reason), line.offset)
        if clip:
            clip.lines += 1
            clip.bytes += len(event.data)
            self._changed[clip_id] = clip
        return KeptEvent(event, segment, line.number)

    def add_remote_verdict(self, request: str, reason: str) -> None:
        """Record a verdict from another host. Thread-safe."""
        self._remote_verdicts.append((request, reason))

    def mark_announced(self, clip_id: str) -> None:
        """Record that the announcement of a clip was delivered. Thread-safe."""
        self._announced.append(clip_id)

    def save(self) -> None:
        """Write new clips and changes to the journal. Raises `OSError`; then nothing may be sent."""
        now_s = machine.monotonic()
        if now_s > self._asked_at_s + ASKED_S:
            self._asked_at_s = now_s
            for request, path in self._journal.take_asked():
                self._verdicts.keep(request.encode(), "by hand")
                self._write([Clip(request, request, "by hand", machine.time_ns())])
                path.unlink(missing_ok=True)
        while self._remote_verdicts:
            request, reason = self._remote_verdicts.popleft()
            if self._verdicts.keep(request.encode(), reason):
                self._opening.append(Clip(request, request, reason, machine.time_ns(), is_told=True))
        self._write(self._opening)
        self._opening = []
        if now_s > self._noted_at_s + NOTE_S:
            self._note()

    def _write(self, clips: list[Clip]) -> None:
        if clips:
            self._journal.append(clips)
            self._work.extend(map(self._find, clips))

    def _note(self) -> None:
        self._noted_at_s = machine.monotonic()
        while self._announced:
            if clip := self._journal.state.clips.get(self._announced.popleft()):
                clip.is_told = True
                self._changed[clip.id] = clip
        self._totals.refused = self._before.refused + self._verdicts.refused
        left_out = self._before.left_out + self._verdicts.left_out
        if more := left_out - self._totals.left_out:
            _log.warning(
                "%s: %d recent requests have no clip: DASHCAM_CLIP_LIMIT is reached; "
                "dashcam keep ID ships one while it is held",
                self._file.route,
                more,
            )
            self._totals.left_out = left_out
        if self._changed or self._totals != self._journal.state.totals:
            self._journal.append([*self._changed.values(), replace(self._totals)])
            self._changed.clear()
        if self._noted_at_s > self._noted_durations_at_s + NOTE_DURATIONS_S:
            self._note_durations()

    def _note_durations(self) -> None:
        self._noted_durations_at_s = machine.monotonic()
        try:
            if self._verdicts.durations:
                save_durations(self._durations_path, self._verdicts.durations)
        except OSError as fault:  # shipping goes on without the file
            _log.warning("%s: %s", fault.filename, fault.strerror)

    def take(self, paths: Mapping[str, Path], most: int) -> list[KeptEvent]:
        """Return held events of clips, as many as are found in a moment."""
        self._paths = paths
        found: list[KeptEvent] = []
        until_s = machine.monotonic() + TURN_S
        while self._work and len(found) < most and machine.monotonic() < until_s:
            try:
                event = next(self._work[0])
            except StopIteration:
                self._work.popleft()
            else:
                found += [event] if event else []
        return found

    def forget_removed(self, paths: Mapping[str, Path]) -> None:
        """Forget the segments that were removed."""
        self._held_index.forget_removed(paths)
        for segment in self._headers.keys() - paths.keys():
            del self._headers[segment]

    def announcements(self) -> list[tuple[str, EncodedEvent]]:
        """Return the new events that announce kept requests, each with the ID of its clip."""
        announcements, self._announcements = self._announcements, []
        return announcements

    def _index_earlier(self) -> Iterator[KeptEvent | None]:
        for place, held in self._held_index.index_earlier(self._paths):
            for request in self._verdicts.kept.keys() & held.requests.keys():
                yield from self._claim(place, request, request.decode())
            yield None

    def _find(self, clip: Clip) -> Iterator[KeptEvent | None]:
        """Yield the held lines of a clip, and `None` after each part that was looked at."""
        request = clip.request.encode()
        if request:
            places = self._held_index.places_of(request)
        else:
            places = self._held_index.places_before(clip.segment, clip.offset, clip.since_ns)
        for place in places:
            yield from self._claim(place, request, clip.id, clip.since_ns)
            yield None
        clip.expired = self._held_index.expired(request) if request else 0
        self._changed[clip.id] = clip
        if clip.expired:
            _log.warning("%s: clip of %s: %s", self._file.route, clip.id, self._incomplete(clip))
        if not clip.is_told or clip.expired:
            segment = clip.segment or next(
                (place.segment for place in self._held_index.places_of(clip.request.encode())), ""
            )
            if header := self._headers.get(segment):
                self._announcements.append(
                    (clip.id, announce(header, clip, self._incomplete(clip) if clip.expired else ""))
                )
            else:  # this host has no line of the request: the host or the person that keeps it knows already
                self.mark_announced(clip.id)

    def _claim(self, place: Place, request: bytes, clip_id: str, since_ns: int = 0) -> Iterator[KeptEvent]:
        # The segment may have been removed since it was listed.
        with suppress(OSError, ValueError, KeyError), open_segment(self._paths[place.segment]) as reader:
            self._headers.setdefault(place.segment, reader.header)
            expander = LineExpander(reader.header)
            for line in self._held_index.claim(reader, place, request, since_ns):
                yield self._keep(place.segment, expander, line, clip_id)

    def _incomplete(self, clip: Clip) -> str:
        since_ns = self._held_index.since_ns()
        return (
            f"clip incomplete: {clip.expired:,} lines expired, DASHCAM_SPOOL_LIMIT is {self._limit_bytes // 10**6} MB, "
            f"that was {history(since_ns, machine.time_ns())} of history"
        )
