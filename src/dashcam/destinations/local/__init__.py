"""The destination `local`: an SQLite file on this machine, for a laptop, tests, one machine."""

from typing import TYPE_CHECKING

from dashcam.destinations.destination import Destination
from dashcam.destinations.local.options import Options

if TYPE_CHECKING:
    from dashcam.destinations.local.backend import Local
    from dashcam.destinations.local.store import LocalStore


def _backend(options: Options) -> "Local":
    from dashcam.destinations.local.backend import connect

    return connect(options)


def _store(options: Options) -> "LocalStore":
    from dashcam.destinations.local.store import open_store

    return open_store(options)


DESTINATION = Destination("local", Options, _backend, _store)
