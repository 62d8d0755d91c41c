"""Damage segments at random and ship them: `python -m tests.damage [--segments N] [--seed N]`.

Each segment is written by the writer, sealed or as a kill leaves it, and then damaged once or a few times: bits flip, a
tail is cut off, a page becomes zeros, pages change places, a stretch holds chance. A shipper then has to deliver each
line that no damage touches, under the ID that it had, and nothing that was not recorded; what is unreadable is counted
or in quarantine. Exit status 1 if that is not so.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import dashcam.machine
from dashcam.ship.batch import Limits
from dashcam.ship.route import Route
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile
from dashcam.spool.reader import segment_files
from dashcam.spool.segment import decode_header

from ..long_runs import command_line, machine, publish
from ..spool.spools import SMALL, close_writers, ids_in, log_line, span_line, start_line, write_to

PAGE_BYTES = 4096
AT_ONCE = 64  # segments in one spool


def flip(data, dice):
    """Flip some bits."""
    for _ in range(dice.choice([1, 1, 3, 30])):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def cut(data, dice):
    """Cut a tail off."""
    del data[dice.randrange(len(data)) :]


def blank(data, dice):
    """Make a page zeros, as a power cut does."""
    at = dice.randrange(0, len(data), PAGE_BYTES)
    data[at : at + PAGE_BYTES] = bytes(len(data[at : at + PAGE_BYTES]))


def swap(data, dice):
    """Let two pages change places."""
    if len(data) >= 2 * PAGE_BYTES:
        first, second = dice.sample(range(0, len(data) - PAGE_BYTES + 1, PAGE_BYTES), 2)
        one, two = data[first : first + PAGE_BYTES], data[second : second + PAGE_BYTES]
        data[first : first + PAGE_BYTES], data[second : second + PAGE_BYTES] = two, one


def scribble(data, dice):
    """Put chance over a stretch."""
    at = dice.randrange(len(data))
    size = min(dice.randrange(1, 300), len(data) - at)
    data[at : at + size] = dice.randbytes(size)


DAMAGES = (flip, cut, blank, swap, scribble)


class Kept:
    """A backend that keeps what it gets."""

    limits = Limits(events=1000, bytes=1_000_000)

    def __init__(self):
        self.events = {}

    def ship(self, batch):
        self.events |= {event.id: event.data for event in batch}

    def close(self):
        """Nothing is open."""


def damage(path, dice, counts):
    """Damage a file; return the lines that are as they were, by their IDs, and whether some changed places."""
    before = path.read_bytes()
    lines = dict(zip(ids_in(path), before.split(b"\n")[1:], strict=False))
    if dice.random() < 0.5:  # as a kill leaves it
        before = before.replace(b'"sealed":1', b'"sealed":0', 1) + bytes(dice.choice([0, 1, 5000]))
    after = bytearray(before)
    kinds = dice.choices(DAMAGES, k=dice.choice([1, 1, 2, 4]))
    for kind in kinds:
        if after:
            kind(after, dice)
            counts[kind.__name__] += 1
    path.write_bytes(after)
    has_header = _has_header(after[: before.index(b"\n") + 1])
    whole = {id_: line for id_, line in lines.items() if line and _is_whole(after, id_, line)}
    return (whole if has_header else {}), swap in kinds


def _has_header(line):
    """Whether a header can still be read; without one there is no segment, and the file is put in quarantine."""
    try:
        decode_header(bytes(line))
    except ValueError:
        return False
    return True


def _is_whole(after, id_, line):
    """Whether a line stands where it stood, with the newline before it."""
    at = int(id_.rpartition("-")[2])
    return after[at - 1 : at + len(line) + 1] == b"\n" + line + b"\n"


def try_some(folder, count, dice, counts):
    """Write segments, damage and ship them; return what is wrong."""
    for _ in range(count):
        writer = write_to(folder / "spool", segment_bytes=SMALL)
        for number in range(dice.randrange(1, 150)):
            writer.append(log_line(number, "x" * dice.choice([0, 0, 300])))
            if number % 7 == 0:
                writer.append(start_line(number, f"s{number}"))
                writer.append(span_line(number, f"s{number}"))
        close_writers()
    recorded, whole, swapped = {}, {}, set()
    for path in segment_files(folder / "spool"):
        recorded |= dict.fromkeys(ids_in(path))
        lines, is_swapped = damage(path, dice, counts)
        counts["segments"] += 1
        whole |= {id_: line for id_, line in lines.items() if b'"event":"start"' not in line}
        swapped |= {path.stem} if is_swapped else set()
    counts["lines"] += len(recorded)
    backend = Kept()
    with _checkpoint(folder) as file:
        Route("kept", backend, folder, file, dashcam.machine.Event()).run(is_drain=True)
    counts["delivered"] += len(backend.events)
    lost = whole.keys() - backend.events.keys()
    changed = [id_ for id_ in whole.keys() & backend.events.keys() if _message(whole[id_]) not in backend.events[id_]]
    derived = ("-aborted-", "-unknown-", "-dropped")
    others = [id_ for id_ in backend.events.keys() - recorded.keys() if not any(each in id_ for each in derived)]
    # A line that changed places with its page stands elsewhere, and its place is its ID.
    invented = [id_ for id_ in others if id_.partition("-")[0] not in swapped]
    counts["moved with their page"] += len(others) - len(invented)
    return {"lost": sorted(lost), "changed": changed, "moved or invented": invented}


def _message(line):
    return line.partition(b'"message":')[2].partition(b",")[0]


def _checkpoint(folder):
    file = CheckpointFile(folder / "positions", "kept", Checkpoint())
    file.rewrite()
    return closing(file)


def main():
    """Try so many; an exit status."""
    parser = command_line("damage", __doc__)
    parser.add_argument("--segments", type=int, default=512, metavar="N", help="at least so many (512)")
    parser.add_argument("--seed", type=int, default=0, help="which damage (0)")
    options = parser.parse_args()
    dice, counts, began_s = random.Random(options.seed), Counter(), time.process_time()
    wrong = Counter()
    while counts["segments"] < options.segments:
        with tempfile.TemporaryDirectory(prefix="damage-") as folder:
            found = try_some(Path(folder), min(AT_ONCE, options.segments), dice, counts)
        for what, ids in found.items():
            wrong[what] += len(ids)
            if ids:
                print(f"{what}: {ids[:5]}")
    result = dict(counts) | {"lost": 0, "changed": 0, "moved or invented": 0} | dict(wrong)
    publish(result | {"seconds of CPU": round(time.process_time() - began_s), "machine": machine()}, options.report)
    return 1 if wrong.total() else 0


if __name__ == "__main__":
    sys.exit(main())
