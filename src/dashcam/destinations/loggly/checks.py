"""The hops to Loggly's bulk endpoint, and to its search interface."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import requests

from dashcam.destinations.canary import await_in, hatch
from dashcam.destinations.checks import Broken, Hop
from dashcam.destinations.loggly import backend as sending
from dashcam.destinations.loggly import store as finding
from dashcam.destinations.network import TIMEOUT_S, agree_with_date, endpoint, hops_to
from dashcam.errors import BackendUnavailable, BatchRejected, DashcamError, StoreUnreachable
from dashcam.find.query import Query, Store, Term
from dashcam.settings import Settings

NOT_FOUND = (
    "Loggly may take minutes: try --wait 600. Else the tokens belong to different accounts, or the plan's volume is "
    "used up."
)


def hops(settings: Settings, wait_s: float) -> Iterator[Hop]:
    """All of them, in the order an event meets them."""
    yield Hop("sending", "configuration", lambda: _configured(sending.connect(settings), settings.loggly_url))
    yield from hops_to("sending", settings.loggly_url, "LOGGLY_URL")
    canary, sent_s = hatch(), time.monotonic()
    with closing(sending.connect(settings)) as backend:
        fault = _fault_of(partial(backend.ship, [canary]))
    yield Hop("sending", "credentials", partial(_admitted, fault, "LOGGLY_TOKEN", "Source Setup → Tokens"))
    yield Hop("sending", "limits", partial(_within_limits, fault))
    yield Hop("sending", "clock", partial(_agrees, settings.loggly_url))
    address = finding.address_of(settings)
    yield Hop("finding", "configuration", lambda: _configured(finding.open_store(settings), address))
    yield from hops_to("finding", address, "LOGGLY_API_URL" if settings.loggly_api_url else "LOGGLY_SUBDOMAIN")
    with closing(finding.open_store(settings)) as store:
        fault = _fault_of(partial(_search, store, canary.id))
        yield Hop("finding", "credentials", partial(_admitted, fault, "LOGGLY_API_TOKEN", "Settings → API Tokens"))
        yield Hop("finding", "limits", partial(_within_limits, fault))
        yield Hop("finding", "canary", partial(await_in, store, canary, sent_s, wait_s, NOT_FOUND))


def _configured(opened: sending.Loggly | finding.Loggly, address: str) -> str:
    opened.close()
    return "{}:{}".format(*endpoint(address))


def _search(store: Store, id_: str) -> list[object]:
    return list(store.find(Query(Term("event.id", id_), since_ns=time.time_ns())))


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
    return "taken at once"


def _agrees(url: str) -> str:
    try:
        answer = requests.get(url, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as fault:
        raise Broken(f"no answer to a plain request ({type(fault).__name__})", "Try again.") from None
    return agree_with_date(answer.headers.get("Date"), endpoint(url)[0])
