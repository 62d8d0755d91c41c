"""The check of the spool on this machine, which every route begins with."""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial

from dashcam.destinations.checks import Broken, Check
from dashcam.settings import Settings


def spool_checks(settings: Settings) -> Iterator[Check]:
    """Yield the check."""
    yield Check("recording", "spool", partial(_has_room, settings))


def _has_room(settings: Settings) -> str:
    try:
        settings.dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=settings.dir).close()
    except OSError as fault:
        raise Broken(
            f"{settings.dir} cannot be written ({fault.strerror})", "Set DASHCAM_DIR, or its owner and rights."
        ) from None
    free = shutil.disk_usage(settings.dir).free
    if free < settings.spool_limit_bytes:
        wanted = f"the spool may take {settings.spool_limit_bytes / 1e6:,.0f} MB"
        raise Broken(
            f"{settings.dir} has {free / 1e6:,.0f} MB left, and {wanted}",
            "Free disk space, or lower DASHCAM_SPOOL_LIMIT.",
        )
    return f"{settings.dir} has room"
