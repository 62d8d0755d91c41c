"""Milliseconds of saving a route's position, by the number of segments that the spool has.

A save is what a shipper does after each batch: two segments have moved, and the change is in the file when it returns.

    python -m benchmarks.positions [saves] [rounds]
"""

import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.report import interleave, judge, middle, print_machine, print_table, ratio, verdict

from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile, SegmentOffset

FEW, MANY = 10, 10_000


def save(segments: int, saves: int) -> dict[str, float]:
    """Save many times, each time with two other segments moved."""
    keys = [f"laptop/cars/{number:024x}" for number in range(segments)]
    marks = {key: SegmentOffset(offset=1_000_000, sequence=999_000, events=2_000) for key in keys}
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(CheckpointFile(Path(folder), "local", Checkpoint(marks))) as file,
    ):
        file.rewrite()
        took_s = used_s = 0.0
        for number in range(saves):
            moved = {keys[(2 * number + more) % segments]: SegmentOffset(number, number) for more in (0, 1)}
            started_s, before_s = time.perf_counter(), time.process_time()
            file.change(moved, delivered=1_000)
            file.save()
            took_s += time.perf_counter() - started_s
            used_s += time.process_time() - before_s
    return {"ms a save": 1000 * took_s / saves, "CPU ms a save": 1000 * used_s / saves}


def main(saves: int = 20_000, rounds: int = 5) -> int:
    print_machine("orjson")
    print(f"{saves:,} saves, {rounds} interleaved rounds, the writing of the whole file now and then included")
    figures = interleave(rounds, {f"{segments:,} segments": partial(save, segments, saves) for segments in (FEW, MANY)})
    print_table(figures)
    few, many = figures.values()
    return verdict(
        [
            judge(f"ms to save a position with {MANY:,} segments", middle(many, "ms a save"), at_most=1),
            judge(f"CPU of it, times that with {FEW}", ratio(many, few, "CPU ms a save"), at_most=3),
        ]
    )


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
