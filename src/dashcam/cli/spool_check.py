"""The checks of the spool on this machine, which every route begins with."""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial

from dashcam.cli.ownership import who_may_write
from dashcam.destinations.checks import Broken, Check, Note
from dashcam.settings import Settings
from dashcam.ship.inspection.stats import MAX_S, collect_stats
from dashcam.spool.drops import read_drops
from dashcam.spool.held import LEVELS

FIX_OF_RIGHTS = "Run the service with the DASHCAM_DIR of its own user, or share the folder (docs/deployment.md)."


def spool_checks(settings: Settings) -> Iterator[Check]:
    """Yield the checks."""
    yield Check("recording", "spool", partial(_has_room, settings))
    yield Check("sending", "shipper", partial(_is_shipped, settings))


def clip_checks(settings: Settings, route: str, *, is_searched: bool) -> Iterator[Check]:
    """Yield the check of a route's verdicts, where lines are held."""
    if LEVELS.index(settings.ship_level.lower() or LEVELS[0]):
        yield Check("sending", "clips", partial(_look_at_clips, settings.ship_level, route, is_searched=is_searched))


def _look_at_clips(level: str, route: str, *, is_searched: bool) -> str | Note:
    held = f"lines below {level} are held"
    if is_searched:
        return f"{held}; verdicts of other hosts are looked for in {route}"
    return Note(
        f"{held}; {route} cannot be searched, so verdicts of other hosts do not arrive here",
        "If requests go over several hosts, ship to a backend that can be searched.",
    )


def _is_shipped(settings: Settings) -> str | Note:
    stats = collect_stats(settings.dir, max_s=MAX_S)
    shipper = stats.shipper
    troubles = dict(stats.unreadable) | dict(shipper.troubles or {})
    for path, reason in troubles.items():
        raise Broken(f"{path}: {reason}", "Set its owner and rights so that the user of the shipper may read it.")
    if stats.quarantined:
        seen = f"{stats.quarantined:,} damaged files were moved to {settings.dir}/quarantine"
        return Note(seen, "Run dashcam repair, which looks for more, then remove them.")
    if shipper.is_at_work:
        return "a shipper is at work"
    since = f"since {shipper.last_seen}" if shipper.last_seen else "so far"
    if stats.is_waiting:
        raise Broken(f"events wait, and no shipper has worked here {since}", "Start one: dashcam ship")
    return f"no shipper has worked here {since}, and nothing waits"


def _has_room(settings: Settings) -> str:
    try:
        settings.dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=settings.dir).close()
    except OSError as fault:
        seen = f"{settings.dir} cannot be written ({fault.strerror}): {who_may_write(settings.dir)}"
        raise Broken(seen, "Set DASHCAM_DIR, or its owner and rights.") from None
    if refused := read_drops(settings.dir / "spool").get("access"):
        seen = f"a service may not write its spool, and {refused:,} events were dropped so far"
        raise Broken(f"{seen}: {who_may_write(settings.dir / 'spool')}", FIX_OF_RIGHTS)
    free = shutil.disk_usage(settings.dir).free
    if free < settings.spool_limit_bytes:
        wanted = f"the spool may take {settings.spool_limit_bytes / 1e6:,.0f} MB"
        raise Broken(
            f"{settings.dir} has {free / 1e6:,.0f} MB left, and {wanted}",
            "Free disk space, or lower DASHCAM_SPOOL_LIMIT.",
        )
    return f"{settings.dir} has room"
