"""A short run of the chaos on each kind of disk; `make chaos` is the long one."""

import os

import pytest

from ..long_runs import run
from .disk import SIZES_MB, why_not
from .usage import CACHES_KB, Usage


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("disk", ["none", *SIZES_MB])
def test_nothing_is_lost_doubled_or_invented(disk):
    """Whatever is killed, filled or refused in 20 s."""
    if reason := why_not(disk):
        pytest.skip(reason)

    done = run("chaos", "--disk", disk, "--duration", "20")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "log calls" in done.stdout


def test_a_short_soak_allows_for_caches_that_fill():
    """The shipper's alone; where the first third is long enough for that, no more may come."""
    usage = Usage({"shipper": os.getpid(), "service": os.getpid()})
    usage.measure()

    short, long = ({row["process"]: row for row in reversed(usage.report(s))} for s in (480, 7200))

    assert short["shipper"]["allowed"] == long["shipper"]["allowed"] + CACHES_KB["shipper"]
    assert short["service"] == long["service"]
