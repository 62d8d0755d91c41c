"""The door to the demo."""

import pytest

from dashcam.cli.commands.demo import check_installed
from dashcam.errors import DashcamError


def test_what_is_not_installed_is_named():
    """Without the services there is no demo, and it says how to get them."""
    with pytest.raises(DashcamError, match=r"^the demo needs no_such_service: run `make demo`"):
        check_installed(["json", "no_such_service"])
