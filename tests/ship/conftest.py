"""Writers end with their test."""

import pytest

from ..spool.spools import close_writers


@pytest.fixture(autouse=True)
def _closed():
    yield
    close_writers()
