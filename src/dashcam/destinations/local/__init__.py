"""The destination `local`: an SQLite file on this machine, for a laptop, tests, one machine."""

from typing import TYPE_CHECKING

from dashcam.destinations.destination import Destination
from dashcam.destinations.local.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dashcam.destinations.local.backend import Local
    from dashcam.destinations.local.store import LocalStore
    from dashcam.ship.repair import Repair


def _backend(options: Options) -> "Local":
    from dashcam.destinations.local.backend import connect

    return connect(options)


def _store(options: Options) -> "LocalStore":
    from dashcam.destinations.local.store import open_store

    return open_store(options)


def _repair(options: Options) -> "Iterator[Repair]":
    from dashcam.destinations.local.repair import repair

    return repair(options)


DESTINATION = Destination("local", Options, _backend, _store, repair=_repair)
