"""The checks of Loggly's bulk endpoint, and to its search interface."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from dashcam.destinations.canary import make_canary, wait_for
from dashcam.destinations.checks import Broken, Check
from dashcam.destinations.loggly import backend as sending
from dashcam.destinations.loggly import store as finding
from dashcam.destinations.loggly.options import Options
from dashcam.destinations.network import agree_with_date, checks_of, endpoint
from dashcam.errors import BackendUnavailable, BatchRejected, DashcamError, StoreUnreachable
from dashcam.find.query import Query, Term

NOT_FOUND = (
    "Loggly may take minutes: try --wait 600. Else the tokens belong to different accounts, or the plan's volume is "
    "used up."
)


def checks(options: Options, wait_s: float) -> Iterator[Check]:
    """Yield the checks of the way to Loggly and back, in the order an event meets them."""
    yield Check("sending", "configuration", lambda: _configured(sending.connect(options), options.url))
    yield from checks_of("sending", options.url, "LOGGLY_URL")
    canary, sent_s = make_canary(), time.monotonic()
    with closing(sending.connect(options)) as backend:
        fault = _fault_of(partial(backend.ship, [canary]))
    yield Check("sending", "credentials", partial(_admitted, fault, "LOGGLY_TOKEN", "Source Setup → Tokens"))
    yield Check("sending", "limits", partial(_within_limits, fault))
    yield Check("sending", "clock", partial(agree_with_date, options.url))
    address = finding.address_of(options)
    yield Check("finding", "configuration", lambda: _configured(finding.open_store(options), address))
    yield from checks_of("finding", address, "LOGGLY_API_URL" if options.api_url else "LOGGLY_SUBDOMAIN")
    with closing(finding.open_store(options)) as store:
        query = Query(Term("event.id", canary.id), since_ns=time.time_ns())
        fault = _fault_of(lambda: list(store.find(query)))
        yield Check("finding", "credentials", partial(_admitted, fault, "LOGGLY_API_TOKEN", "Settings → API Tokens"))
        yield Check("finding", "limits", partial(_within_limits, fault))
        yield Check("finding", "canary", partial(wait_for, store, canary, sent_s, wait_s, NOT_FOUND))


def _configured(opened: sending.Loggly | finding.LogglyStore, address: str) -> str:
    opened.close()
    return "{}:{}".format(*endpoint(address))


def _fault_of(action: Callable[[], object]) -> DashcamError | None:
    try:
        action()
    except (BatchRejected, BackendUnavailable, StoreUnreachable) as fault:
        return fault
    return None


def _admitted(fault: DashcamError | None, variable: str, page: str) -> str:
    if fault and variable in str(fault):
        raise Broken(str(fault), f"Set {variable} to a token that is active in Loggly, {page}.")
    return f"{variable} is accepted" if fault is None else "not refused"


def _within_limits(fault: DashcamError | None) -> str:
    if fault:
        raise Broken(
            str(fault), "Loggly is over its limits or in trouble: events wait meanwhile. Look at its status page."
        )
    return "accepted at once"
