"""The histogram above a list: a bar for each step of time, with a part for each level."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dashcam.show.summary import Bar, Summary

WIDTH, HEIGHT = 1000, 100
"""The size of the drawing, in units of its own; a page draws it as wide as it is."""

LEVELS = ("critical", "error", "warning", "info", "debug")
"""The parts of a bar from below: what went wrong stands on the ground, where it can be compared."""

MIN_PART = 2.0  # units, so that one error among a million events can be seen
TICKS = 5


class Part(NamedTuple):
    """A part of a bar: its level, and where it is drawn."""

    level: str
    x: float
    y: float
    width: float
    height: float


def parts(summary: Summary) -> Iterator[Part]:
    """Yield the parts of all bars."""
    most = max((bar.count for bar in summary.bars), default=0)
    width = WIDTH / max(1, len(summary.bars))
    for index, bar in enumerate(summary.bars):
        top = float(HEIGHT)
        for level, count in counts(bar):
            height = min(max(MIN_PART, count / most * HEIGHT), top)
            top -= height
            yield Part(level, round(index * width + width * 0.06, 2), round(top, 2), round(width * 0.88, 2), height)


def counts(bar: Bar) -> list[tuple[str, int]]:
    """Return the levels that a bar has, from below; what is no level of ours counts as `info`."""
    others = sum(count for level, count in bar.levels.items() if level not in LEVELS)
    known = {level: bar.levels.get(level, 0) for level in LEVELS}
    known["info"] += others
    return [(level, count) for level, count in known.items() if count]


def ticks(bars: Sequence[Bar]) -> list[int]:
    """Return the moments that are written below a histogram, in nanoseconds."""
    return [bars[len(bars) * index // TICKS].start_ns for index in range(TICKS)] if len(bars) >= TICKS else []
