"""The hops on this machine, and those of a route that nothing more is known of."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

from dashcam.destinations.canary import await_in, hatch
from dashcam.destinations.checks import Broken, Hop
from dashcam.destinations.registry import connect, open_store
from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.event import EncodedEvent
from dashcam.settings import Settings


def spool_hops(settings: Settings) -> Iterator[Hop]:
    """What every route begins with."""
    yield Hop("recording", "spool", partial(_has_room, settings))


def any_hops(route: str, settings: Settings, wait_s: float) -> Iterator[Hop]:
    """What can be asked of a route that nothing more is known of: an event is taken, and found."""
    canary, sent_s = hatch(), time.monotonic()
    yield Hop("sending", "canary", partial(_take, route, settings, canary))
    yield Hop("finding", "configuration", partial(_opens, route, settings))
    with closing(open_store(route, settings)) as store:
        fix = f"Look at {route}: it answered for the event."
        yield Hop("finding", "canary", partial(await_in, store, canary, sent_s, wait_s, fix))


def stdout_hops() -> Iterator[Hop]:
    """Nothing is kept that could be found."""
    yield Hop(
        "sending", "configuration", lambda: "events go to the shipper's standard output; where that goes, ask there"
    )


def _has_room(settings: Settings) -> str:
    try:
        settings.dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=settings.dir).close()
    except OSError as fault:
        raise Broken(
            f"{settings.dir} cannot be written ({fault.strerror})", "Set DASHCAM_DIR, or its owner and rights."
        ) from None
    free = shutil.disk_usage(settings.dir).free
    if free < settings.spool_limit:
        wanted = f"the spool may take {settings.spool_limit / 1e6:,.0f} MB"
        raise Broken(
            f"{settings.dir} has {free / 1e6:,.0f} MB left, and {wanted}",
            "Free disk space, or lower DASHCAM_SPOOL_LIMIT.",
        )
    return f"{settings.dir} has room"


def _take(route: str, settings: Settings, canary: EncodedEvent) -> str:
    with closing(connect(route, settings)) as backend:
        try:
            backend.ship([canary])
        except (BatchRejected, BackendUnavailable) as fault:
            raise Broken(str(fault), "Events wait meanwhile.") from None
    return "an event is taken"


def _opens(route: str, settings: Settings) -> str:
    open_store(route, settings).close()
    return "can be searched"
