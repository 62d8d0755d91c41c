"""Finding events in the local store's file."""

import pytest

from dashcam.find.stores.local import LocalStore
from dashcam.ship.backends.local import Bounds, Local

from .contract import StoreContract

DAY_NS = 86_400 * 10**9


class TestLocalStore(StoreContract):
    """The file as a store."""

    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls, tmp_path_factory):
        """Lines shipped in batches of 50 into shelves of 100."""

        def fill(lines):
            path = tmp_path_factory.mktemp("store") / "events.db"
            local = Local(path, Bounds(10_000_000, 36_500 * DAY_NS, shelf_events=100))
            for first in range(0, len(lines), 50):
                local.ship(lines[first : first + 50])
            local.open()
            local.close()
            return LocalStore(path)

        return fill
