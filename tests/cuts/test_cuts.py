"""A few power cuts of each kind of file system; `make cuts` makes more."""

import pytest

from ..chaos.disk import SIZES_MB, why_not
from ..long_runs import run


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("disk", list(SIZES_MB))
def test_what_was_synced_is_there(disk):
    """Nothing of it is lost, nothing is there twice or invented, and the account adds up."""
    if reason := why_not(disk):
        pytest.skip(reason)

    done = run("cuts", "--disk", disk, "--cuts", "10")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "synced before a cut" in done.stdout
