"""What is written by one round is taken away before the next, as rotation of logs and the shipper do it.

Or else each round would have memory that the machine never used before, and finding that takes longer than using it.
"""

import os

from dashcam.spool.reader import segment_files


def make_room(folder):
    """Remove the segments that are full, and empty every other file."""
    for path in segment_files(folder / "spool")[:-1]:
        path.unlink()
    for path in folder.glob("*.json"):
        os.truncate(path, 0)
