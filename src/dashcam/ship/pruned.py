"""The account of segments that were removed."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dashcam.ship.journal import FULL, Journal, encode_record, read_journal, replace_file
from dashcam.ship.listing import HEADER_BYTES
from dashcam.spool.segment import SUFFIX

NAME = "pruned"
FORMER_NAME = "pruned.json"


@dataclass(frozen=True, slots=True)
class Pruned:
    """The events that removed segments had. The last ones that were removed may still be there after a kill.

    `expired` were held when their segment went, by route.
    """

    recorded: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    last: tuple[str, ...] = ()
    expired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Victim:
    """A segment that is to be removed, and what it counts for."""

    key: str
    path: Path
    recorded: int
    dropped: Mapping[str, int]
    held: Mapping[str, int] = field(default_factory=dict)


def load_pruned(folder: Path) -> Pruned:
    """Return the account below a `DASHCAM_DIR`; an empty one when nothing was removed, or the file is damaged."""
    for fields in reversed(read_journal(folder / NAME).records):
        try:
            return Pruned(fields["recorded"], fields["dropped"], tuple(fields["last"]), fields.get("expired", {}))
        except (KeyError, TypeError):
            continue
    # As the version before kept it.
    import orjson

    try:
        fields = orjson.loads((folder / FORMER_NAME).read_bytes())
        return Pruned(fields["recorded"], fields["dropped"])
    except (OSError, ValueError, KeyError, TypeError):
        return Pruned()


def remove(folder: Path, victims: Iterable[Victim]) -> None:
    """Take segments into the account, then remove them; whoever is killed between the two counts them once.

    Raises `OSError`. On a full disk their lines go before, one segment after the other: the account needs the room.
    Where nothing gives any, it goes on behind the account that is there, in the block that this has.
    """
    victims = list(victims)
    pruned = load_pruned(folder)
    dropped, expired = Counter(pruned.dropped), Counter(pruned.expired)
    fresh = [victim for victim in victims if victim.key not in pruned.last]  # others could not be removed before
    for victim in fresh:
        dropped.update(victim.dropped)
        expired.update(victim.held)
    recorded = pruned.recorded + sum(victim.recorded for victim in fresh)
    # Earlier victims whose files are still there, because a sync or a removal failed, are counted already.
    left = [key for key in pruned.last if (folder / "spool" / f"{key}{SUFFIX}").exists()]
    last = dict.fromkeys([*left, *(victim.key for victim in victims)])
    _keep(folder / NAME, asdict(Pruned(recorded, dict(dropped), tuple(last), dict(expired))), victims)
    for victim in victims:
        victim.path.unlink(missing_ok=True)


def _keep(path: Path, record: Mapping[str, Any], victims: Sequence[Victim]) -> None:
    # A file of one block has no room to give back but its own.
    steps: list[Callable[[], bool | None]] = [partial(_cut_to_header, victim.path) for victim in victims]
    steps += [partial(_append, path, record), *(partial(victim.path.unlink, missing_ok=True) for victim in victims)]
    while True:
        try:
            replace_file(path, encode_record(record) * 2)  # so that one damaged byte costs nothing
        except OSError as fault:
            if not steps or fault.errno not in FULL:
                raise
            if steps.pop(0)():
                return
        else:
            return


def _append(path: Path, record: Mapping[str, Any]) -> bool:
    """Add the account to the file of the one before, synced; return whether that has room for it."""
    with suppress(OSError), closing(Journal(path)) as journal:
        journal.resume()
        journal.append(record)
        journal.sync()
        return True
    return False


def _cut_to_header(path: Path) -> None:
    """Give back the room of a segment's lines; while its header is there, the checkpoints say how many it had."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        os.ftruncate(file, os.pread(file, HEADER_BYTES, 0).find(b"\n") + 1)
    finally:
        os.close(file)
