"""The account of segments that were removed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dashcam.ship.journal import FULL, encode_record, read_journal, replace_file

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
    for fields in read_journal(folder / NAME).records:
        try:
            return Pruned(fields["recorded"], fields["dropped"], tuple(fields["last"]), fields.get("expired", {}))
        except (KeyError, TypeError):
            continue
    return _load_former(folder)


def remove(folder: Path, victims: Iterable[Victim]) -> None:
    """Take segments into the account, then remove them; whoever is killed between the two counts them once.

    Raises `OSError`. On a full disk the first ones go before they are counted: the account needs their room.
    """
    victims = list(victims)
    pruned = load_pruned(folder)
    dropped, expired = Counter(pruned.dropped), Counter(pruned.expired)
    for victim in victims:
        dropped.update(victim.dropped)
        expired.update(victim.held)
    recorded = pruned.recorded + sum(victim.recorded for victim in victims)
    gone = Pruned(recorded, dict(dropped), tuple(victim.key for victim in victims), dict(expired))
    record = encode_record(asdict(gone))
    _keep(folder / NAME, record * 2, victims)  # twice, so that one damaged byte costs nothing
    for victim in victims:
        victim.path.unlink(missing_ok=True)


def _keep(path: Path, data: bytes, victims: Iterable[Victim]) -> None:
    first = iter(victims)
    while True:
        try:
            replace_file(path, data)
        except OSError as fault:
            victim = next(first, None)
            if victim is None or fault.errno not in FULL:
                raise
            victim.path.unlink(missing_ok=True)
        else:
            return


def _load_former(folder: Path) -> Pruned:
    """Return the account as the version before kept it."""
    import orjson

    try:
        fields = orjson.loads((folder / FORMER_NAME).read_bytes())
        return Pruned(fields["recorded"], fields["dropped"])
    except (OSError, ValueError, KeyError, TypeError):
        return Pruned()
