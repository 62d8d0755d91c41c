"""What must be tried: named points at which a process dies, the power goes or a call fails, and named states.

A point is a call on a kind of file, before or after it. A state is a point that is met in certain situations. Each has
to be reached: `test_simulation.py` fails when one never is.
"""

import errno
from dataclasses import dataclass

from .disk import FULL, Plan

SITUATIONS = {
    "a route hands over": lambda world: world.is_handing_over(),
    "letters are replayed": lambda world: world.replay is not None and not world.replay.is_gone(),
    "the disk is full": lambda world: world.disk.state == FULL,
    "a destination hangs": lambda world: any(each.mood == "hangs" for each in world.destinations.values()),
    "a destination is down": lambda world: any(each.mood == "down" for each in world.destinations.values()),
    "the shipper stops": lambda world: world.is_stopping(),
    "another shipper waits": lambda world: world.rival is not None and not world.rival.is_gone(),
    "the power was lost before": lambda world: world.machine.boot > 0,
    "two routes are at work": lambda world: len(world.routes) > 1,
    "the clock was set": lambda world: world.is_clock_set,
}


@dataclass(frozen=True)
class Point:
    """Something that has to be tried at a call on a kind of file, in situations that hold at once."""

    action: object
    call: str
    kind: str
    is_after: bool = False
    situations: tuple = ()

    @property
    def name(self):
        """Return what is tried, in words."""
        action = errno.errorcode.get(self.action, self.action) if isinstance(self.action, int) else self.action
        when = "after" if self.is_after else "at"
        return f"{action} {when} {self.call} of {self.kind}" + "".join(f", while {each}" for each in self.situations)

    def holds(self, world):
        """Whether all situations are there now."""
        return all(SITUATIONS[each](world) for each in self.situations)

    def plan(self, number=1):
        """Return it as a plan of the disk."""
        return Plan(self.action, number, self.call, self.kind, is_after=self.is_after, name=self.name)


# The steps by which something is kept, replaced or removed: the process dies, or the machine does, around each.
STEPS = (
    ("create", "unborn segment"),
    ("rename", "segment"),
    ("ftruncate", "segment"),
    ("fsync", "segment"),
    ("create", "new checkpoint"),
    ("write", "new checkpoint"),
    ("fsync", "new checkpoint"),
    ("rename", "checkpoint"),
    ("write", "checkpoint"),
    ("fsync", "checkpoint"),
    ("unlink", "checkpoint"),
    ("write", "dead letters"),
    ("fsync", "dead letters"),
    ("rename", "letters being replayed"),
    ("unlink", "letters being replayed"),
    ("write", "replay journal"),
    ("rename", "account"),
    ("pwrite", "account"),
    ("fsync", "account"),
    ("unlink", "segment"),
    ("pwrite", "drop counts"),
    ("rename", "heartbeat"),
    ("pwrite", "store"),
    ("fsync", "store"),
)
CRASHES = [
    Point(action, call, kind, is_after=is_after)
    for call, kind in STEPS
    for action in ("kill", "cut")
    for is_after in (False, True)
    if not (is_after and kind == "store")  # SQLite's own frames lie in between
]

# Each call that the spool and the shipper make, on the files that it is made on, with what it can fail of.
FAILURES = [
    Point(error, call, kind)
    for call, errors, kinds in (
        ("create", (errno.ENOSPC, errno.EROFS), ("unborn segment", "new checkpoint", "dead letters", "store")),
        ("open", (errno.EACCES, errno.EMFILE, errno.EIO), ("segment", "checkpoint", "dead letters", "heartbeat")),
        ("write", (errno.ENOSPC, errno.EIO), ("checkpoint", "new checkpoint", "dead letters", "replay journal")),
        ("pwrite", (errno.ENOSPC, errno.EIO), ("drop counts", "account", "store")),
        ("pread", (errno.EIO,), ("segment",)),
        ("ftruncate", (errno.EIO,), ("segment",)),
        (
            *("fsync", (errno.EIO, errno.ENOSPC)),
            ("segment", "checkpoint", "new checkpoint", "dead letters", "account", "store"),
        ),
        ("rename", (errno.EIO, errno.EROFS), ("segment", "checkpoint", "account", "letters being replayed")),
        ("unlink", (errno.EIO, errno.EROFS), ("segment", "checkpoint")),
        ("mkdir", (errno.ENOSPC, errno.EACCES), ("folder",)),
        ("utime", (errno.EROFS,), ("heartbeat",)),
        ("stat", (errno.EIO,), ("segment", "folder")),
        ("listdir", (errno.EACCES,), ("folder",)),
        ("scandir", (errno.EACCES, errno.EMFILE), ("folder",)),
    )
    for error in errors
    for kind in kinds
]

STATES = [
    Point(errno.ENOSPC, "write", "dead letters", situations=("a route hands over",)),
    Point(errno.ENOSPC, "write", "dead letters", situations=("letters are replayed", "the power was lost before")),
    Point(errno.ENOSPC, "write", "checkpoint", situations=("a destination hangs",)),
    Point(errno.ENOSPC, "write", "new checkpoint", situations=("a route hands over",)),
    Point("kill", "rename", "checkpoint", situations=("a route hands over",)),
    Point("cut", "rename", "checkpoint", situations=("a route hands over",)),
    Point("cut", "unlink", "checkpoint", situations=("a route hands over", "the power was lost before")),
    Point("kill", "write", "checkpoint", situations=("the shipper stops",)),
    Point("kill", "write", "checkpoint", situations=("two routes are at work", "a destination is down")),
    Point("cut", "write", "checkpoint", situations=("another shipper waits",)),
    Point("kill", "write", "dead letters", situations=("letters are replayed",)),
    Point("cut", "write", "replay journal", situations=("letters are replayed",)),
    Point("cut", "fsync", "store", situations=("the power was lost before",)),
    Point("cut", "pwrite", "store", situations=("two routes are at work",)),
    Point("kill", "unlink", "segment", situations=("the disk is full",)),
    Point("kill", "pwrite", "account", situations=("the disk is full",)),
    Point("cut", "unlink", "segment", situations=("the disk is full",)),
    Point("kill", "fsync", "segment", situations=("the clock was set",)),
    Point(errno.EIO, "fsync", "checkpoint", situations=("another shipper waits",)),
]
POINTS = CRASHES + FAILURES + STATES
