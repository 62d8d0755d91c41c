"""The one registry of destinations: what `LOG_BACKEND` can name, and what each of them offers.

Five come with Dashcam. Any installed distribution adds another by an entry point in the group `dashcam.destinations`
that leads to a `Destination`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from dashcam.destinations.destination import Destination, StoryReference
from dashcam.errors import SettingsError
from dashcam.settings import RecordSettings, Settings, load, unknown_names, variables
from dashcam.ship.batch import Backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from dashcam.find.query import Store

T = TypeVar("T")

GROUP = "dashcam.destinations"

# Written down, because looking up entry points takes a look-up 12 ms of its 60.
BUILT_IN = {
    "elasticsearch": "dashcam.destinations.elasticsearch",
    "elk": "dashcam.destinations.fluentd",
    "local": "dashcam.destinations.local",
    "loggly": "dashcam.destinations.loggly",
    "stdout": "dashcam.destinations.stdout",
}


def known() -> list[str]:
    """Return the names that `LOG_BACKEND` can have."""
    return sorted({*BUILT_IN, *_offered()})


def get(route: str) -> Destination:
    """Return the destination of a name; raises `SettingsError` when nobody offers one, or it cannot be used."""
    if route in BUILT_IN:
        destination: Destination = import_module(BUILT_IN[route]).DESTINATION
        return destination
    if point := _offered().get(route):
        try:
            offered = point.load()
        except Exception as fault:  # the module comes from another package, and may raise anything
            raise SettingsError(f"The destination {route!r} cannot be used: {point.value}: {fault!r}") from fault
        if not isinstance(offered, Destination):
            kind = type(offered).__name__
            raise SettingsError(
                f"The destination {route!r} cannot be used: {point.value}: it is not a Destination, but a {kind}."
            )
        return offered
    raise SettingsError(f"LOG_BACKEND={route!r} is not a backend. Known: {', '.join(known())}.")


def _offered() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # 20 ms, which a built-in destination spares

    return {point.name: point for point in entry_points(group=GROUP)}


def options(route: str, environment: Mapping[str, str] | None = None) -> Any:
    """Return the options of a destination, read from the environment; raises `SettingsError` with all their faults."""
    return load(get(route).options, environment)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the command's settings; those of recording and of every route are checked too.

    Raises `SettingsError` with all faults in one message, `DASHCAM_` names that are no setting's among them.
    """
    given = os.environ if environment is None else environment
    faults: list[str] = []
    settings = _attempt(lambda: load(Settings, given), faults)
    kinds: list[type] = [RecordSettings]
    offered = [_attempt(partial(get, route), faults) for route in (settings.routes if settings else ())]
    kinds += [destination.options for destination in offered if destination]
    for kind in kinds:
        _attempt(partial(load, kind, given), faults)
    if unknown_names(given, {each.metadata["variable"] for each in variables([Settings, *kinds])}):
        # Only now are the options of the other destinations imported.
        faults += unknown_names(given, {each.metadata["variable"] for each in every_setting()})
    if faults or settings is None:
        raise SettingsError("\n".join(dict.fromkeys(faults)))
    return settings


def _attempt(read: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return read()
    except SettingsError as fault:
        faults += str(fault).splitlines()
        return None


def every_setting() -> Iterator[Field[Any]]:
    """Yield every setting there is, each variable once: of recording, of the command, of each destination."""
    return variables([RecordSettings, Settings, *(get(route).options for route in known())])


def links(route: str, reference: StoryReference, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the addresses of a story in the web pages of what holds its events, by what shows it.

    The addresses hold no credentials. A story without a trace or request ID has none.
    """
    make = get(route).links
    if make is None or not (reference.trace_ids or reference.request_ids):
        return {}
    return make(options(route, environment), reference)


def connect(route: str, environment: Mapping[str, str] | None = None) -> Backend:
    """Return the backend that a route ships to; raises `SettingsError`."""
    return get(route).backend(options(route, environment))


def open_store(route: str, environment: Mapping[str, str] | None = None) -> "Store":
    """Return the store that a route's events are found in; raises `SettingsError` when it has none."""
    store = get(route).store
    if store is None:
        raise SettingsError(f"LOG_BACKEND={route!r} cannot be searched. Use the tool that collects its output.")
    return store(options(route, environment))
