"""The statements that a route makes of the segments it has sent (`dashcam/statement.py`), for `dashcam audit`."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate

from dashcam.event import EncodedEvent
from dashcam.ship.selection import derived_event, has_stopped, is_shipped
from dashcam.ship.state.checkpoint import START, CheckpointFile, SegmentOffset
from dashcam.spool.held import is_below, level_of
from dashcam.spool.line import LineExpander
from dashcam.spool.reader import SegmentReader
from dashcam.statement import DATASET, Link, Tally


class Statements:
    """The statements of one route, each linked to the one before; the same ones again after `kill -9`."""

    def __init__(self, file: CheckpointFile) -> None:
        self._file = file
        begun = file.checkpoint
        self._start, self._skipped = begun.start, begun.skipped

    def begin(self, key: str, mark: SegmentOffset) -> Tally | None:
        """Return a tally for a segment that the route begins; `None` for one that it goes on with."""
        return Tally() if mark.offset == self._start.get(key, START).offset and key not in self._skipped else None

    def make(
        self, key: str, reader: SegmentReader, tally: Tally | None, derived: Sequence[EncodedEvent]
    ) -> Iterator[EncodedEvent]:
        """Yield the statements of a segment at its end; none where the route sent nothing of it."""
        tally = tally or self._read_again(key, reader)
        skipped = self._skipped.get(key, frozenset())
        first = self._start.get(key, START).synthesized
        tally.add_others(
            [event for number, event in enumerate(derived, 1) if number > first and -number not in skipped]
        )
        tally.is_partial |= bool(skipped) or has_stopped(reader.header)
        before = self._file.statement_before(key)
        for part in tally.parts:
            fields = part.fields(reader.header.segment, before, tally)
            event = derived_event(reader.header, fields, part.suffix(), part.events, dataset=DATASET)
            before = Link(event.id, hashlib.sha256(event.data).hexdigest())
            yield event
        if tally.parts and before:
            self._file.set_head(key, before)

    def _read_again(self, key: str, reader: SegmentReader) -> Tally:
        tally, expander = Tally(), LineExpander(reader.header)
        start, skipped = self._start.get(key, START), self._skipped.get(key, frozenset())
        for result in reader.passages(is_final=True):
            tally.is_partial |= bool(result.damaged)
            sequences, events = array("I"), []
            for line, after in result.lines:
                if after.offset <= start.offset or after.offset in skipped or not is_shipped(line):
                    continue
                level = level_of(line)
                if level and is_below(level, self._file.level_at(key, after.offset)):
                    tally.hold(after.sequence, after.offset)
                else:
                    sequences.append(after.sequence)
                    events.append(expander.expand(line, after.sequence).data + b"\n")
            tally.add(sequences, b"".join(events), array("I", accumulate(map(len, events))))
        return tally
