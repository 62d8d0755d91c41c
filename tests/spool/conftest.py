"""Writers end with their test; some tests need memory that is mapped."""

import pytest

from dashcam.spool.file import Mapping

from .spools import close_writers

needs_c = pytest.mark.skipif(Mapping is None, reason="_mapping.c was not compiled; `make venv` with a C compiler does")


@pytest.fixture(autouse=True)
def _closed():
    yield
    close_writers()
