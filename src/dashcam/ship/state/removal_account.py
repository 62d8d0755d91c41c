"""The account of segments that were removed.

The file `pruned` has four records of one length: the newest account and the one before, in turn, each twice. A new
account overwrites the older one in place, which works on a full disk, and a power cut leaves one of them whole.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dashcam.ship.listing import HEADER_BYTES
from dashcam.ship.state.journal import FULL, encode_record, read_journal, replace_file, sync_folder
from dashcam.spool.segment import SUFFIX

NAME = "pruned"
RECORD_BYTES = 8 << 10  # names 18 segments, or 130 with names of usual length
RECORDS = 4


@dataclass(frozen=True, slots=True)
class RemovalAccount:
    """The counts of events in removed segments. The files of the `last` removals may still exist after a kill.

    `expired` counts events that were still held, by route. Accounts are numbered from 0.
    """

    recorded: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    last: tuple[str, ...] = ()
    expired: Mapping[str, int] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Victim:
    """A segment to remove, with the counts for the account."""

    key: str
    path: Path
    recorded: int
    dropped: Mapping[str, int]
    held: Mapping[str, int] = field(default_factory=dict)


def load_account(folder: Path) -> RemovalAccount:
    """Return the account below a `DASHCAM_DIR`; an empty one when nothing was removed, or the file is damaged."""
    records = reversed(read_journal(folder / NAME).records)
    for fields in sorted(records, key=lambda fields: fields.get("number", 0), reverse=True):
        try:
            counts = fields["recorded"], fields["dropped"], tuple(fields["last"]), fields["expired"]
            return RemovalAccount(*counts, fields["number"])
        except (KeyError, TypeError):
            continue
    return RemovalAccount()


def begin(folder: Path) -> None:
    """Make the file, while there is room for it, unless it is there. Raises `OSError`."""
    if not _takes_accounts(folder / NAME):
        rewrite(folder, load_account(folder))


def rewrite(folder: Path, account: RemovalAccount) -> None:
    """Replace the file by one account of any length. Raises `OSError`, and then leaves the file unchanged."""
    replace_file(folder / NAME, _encode(account) * RECORDS)


def settle(folder: Path) -> None:
    """Bring the account that `load_account` returns to the disk, also after a sync that failed. Raises `OSError`."""
    if _takes_accounts(folder / NAME):
        _overwrite(folder / NAME, load_account(folder))
    sync_folder(folder)


def remove(folder: Path, victims: Iterable[Victim]) -> None:
    """Add segments to the account, then remove them; a kill between the two counts them once.

    Raises `OSError`; the account then has the remaining segments at most once. A full disk that cannot write in place
    has no room for the account: then segments are first cut to their headers, one after the other.
    """
    victims = list(victims)
    before = load_account(folder)
    account = _account_with(folder, before, victims)
    if len(victims) > 1 and len(_encode(account)) > RECORD_BYTES:
        middle = len(victims) // 2
        remove(folder, victims[:middle])
        remove(folder, victims[middle:])
        return
    left = iter(victims)
    while True:
        try:
            _write(folder, before, account)
            break
        except OSError as fault:
            victim = next(left, None)
            if victim is None or fault.errno not in FULL:
                raise
            _cut_to_header(victim.path)
    for victim in victims:
        victim.path.unlink(missing_ok=True)


def _account_with(folder: Path, before: RemovalAccount, victims: Iterable[Victim]) -> RemovalAccount:
    dropped, expired = Counter(before.dropped), Counter(before.expired)
    fresh = [victim for victim in victims if victim.key not in before.last]  # others could not be removed before
    for victim in fresh:
        dropped.update(victim.dropped)
        expired.update(victim.held)
    recorded = before.recorded + sum(victim.recorded for victim in fresh)
    # Earlier victims whose files are still there, because a sync or a removal failed, are counted already.
    left = [key for key in before.last if (folder / "spool" / f"{key}{SUFFIX}").exists()]
    last = dict.fromkeys([*left, *(victim.key for victim in victims)])
    return RemovalAccount(recorded, dict(dropped), tuple(last), dict(expired), before.number + 1)


def _write(folder: Path, before: RemovalAccount, account: RemovalAccount) -> None:
    # The new account forgets the segments of the before one: their removals have to be on the disk.
    for parent in {(folder / "spool" / key).parent for key in before.last}:
        with suppress(FileNotFoundError):
            sync_folder(parent)
    if _takes_accounts(folder / NAME) and len(_encode(account)) <= RECORD_BYTES:
        # The before one has to be on the disk while the place of the one before is written.
        for each in (before, account):
            _overwrite(folder / NAME, each)
    else:
        rewrite(folder, account)


def _takes_accounts(path: Path) -> bool:
    try:
        return path.stat().st_size == RECORDS * RECORD_BYTES
    except FileNotFoundError:
        return False


def _encode(account: RemovalAccount) -> bytes:
    return encode_record(asdict(account), RECORD_BYTES)


def _overwrite(path: Path, account: RemovalAccount) -> None:
    record = _encode(account)
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for place in range(account.number % 2, RECORDS, 2):
            if os.pwrite(file, record, place * RECORD_BYTES) < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file)
    finally:
        os.close(file)


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
