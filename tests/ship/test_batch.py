"""A batch of blocks is a sequence of events."""

import pytest

from dashcam.ship.batch import EventBatch, blocks_of
from dashcam.spool.block import EventBlock

from .played import events

EVENTS = events(7)
BATCH = EventBatch([EventBlock.of(EVENTS[:3]), EventBlock.of(EVENTS[3:4]), EventBlock.of(EVENTS[4:])])


def test_a_batch_has_its_events():
    """In their order, and by number from either end."""
    assert list(BATCH) == EVENTS
    assert (len(BATCH), bool(EventBatch([]))) == (7, False)
    assert [BATCH[number] for number in range(-7, 7)] == EVENTS + EVENTS
    for number in (-8, 7):
        with pytest.raises(IndexError):
            BATCH[number]
    assert EVENTS[5] in BATCH


def test_a_part_of_a_batch():
    """A slice has the same events as one of a list, and is a batch again."""
    for start in range(-8, 9):
        for stop in range(-8, 9):
            part = BATCH[start:stop]
            assert list(part) == EVENTS[start:stop]
            assert isinstance(part, EventBatch)
            assert list(part[1:]) == EVENTS[start:stop][1:]
    assert list(BATCH[::-2]) == EVENTS[::-2]


def test_blocks_of_any_batch():
    """Those that it has, or one of all its events."""
    assert blocks_of(BATCH) is BATCH.blocks
    assert [list(block) for block in blocks_of(EVENTS)] == [EVENTS]
