"""Many kills of forked processes; `make kills` makes more."""

import pytest

from ..long_runs import run


@pytest.mark.parametrize("kills", [20, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_nothing_is_lost_doubled_or_invented(kills):
    """Whichever of the services and the shipper is killed, and whenever."""
    done = run("kills", "--kills", str(kills))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost                       0" in done.stdout
