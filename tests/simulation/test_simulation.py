"""Whatever fails, and whenever: nothing is lost, nothing is invented, and in the end all is delivered.

`python -m tests.simulation` runs more seeds; one that fails is kept in `seeds/`, and runs here for ever: in `make test`
where it takes less than half a second, else in `make test-long`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .__main__ import SEEDS, run
from .points import CRASHES, POINTS, STATES
from .world import World

ROOT = Path(__file__).parents[2]
KEPT = sorted(int(path.name) for path in SEEDS.iterdir() if path.name.isdecimal())
QUICK = {9188, 200008, 300038, 403579, 801654, 810303}
TRIES = 30  # seeds in which a point that is looked for has to be met
SAMPLE = POINTS[::50]  # a look in `make test`; all of them in `make test-long`


@pytest.mark.parametrize("seed", range(4))
def test_a_seed(seed):
    """Conservation, no invention, liveness, in a minute."""
    assert run(seed, minutes=1).failed == {}


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.long] * (seed not in QUICK)) for seed in KEPT])
def test_a_seed_that_has_failed_once(seed):
    """As above, for as long as it ran then."""
    assert run(seed, minutes=None).failed == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_seeds():
    """Of a range that no other test has."""
    command = [sys.executable, "-m", "tests.simulation", "--from", "1000000", "--seeds", "200"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def _reach(point):
    """Return the first run that meets a point; each run has to be well."""
    for seed in range(TRIES):
        world = World(seed, points=[point], minutes=2).run()
        if point.name in world.disk.reached:
            return world
    return None


@pytest.mark.parametrize("point", SAMPLE, ids=lambda point: point.name)
def test_a_point_is_met(point):
    """A kill, a power cut or an error just there, and the oracle is content."""
    assert _reach(point), f"never met: {point.name}"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("point", [point for point in POINTS if point not in SAMPLE], ids=lambda point: point.name)
def test_each_other_point_is_met(point):
    """As above."""
    assert _reach(point), f"never met: {point.name}"


def test_there_are_enough_points():
    """At least 20 for crashes; each name once."""
    assert len(CRASHES) >= 20
    assert len(STATES) >= 10
    assert len({point.name for point in POINTS}) == len(POINTS)


def test_a_seed_gives_the_same_run():
    """Step by step, also in another process."""
    first, second = World(2, minutes=1).run(), World(2, minutes=1).run()
    command = [sys.executable, "-m", "tests.simulation", "--from", "2", "--trace"]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    traces = [subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout for _ in "12"]

    assert first.trace == second.trace
    assert first.disk.counts == second.disk.counts
    assert traces[0] == traces[1]


def _finished(seed=0):
    """Return a world at its end, and what its oracle has found."""
    world = World(seed, points=[], minutes=1)
    found = []
    world.oracle.judge = lambda: found.extend(world.oracle._found())
    world.run()
    world.oracle._found = lambda: found
    world.oracle._judge_account = lambda _: None  # of files that are gone
    del world.oracle.judge
    return world, found


def _a_line(found):
    return next(item for item in found if b'"message":"1' in item[1])


def test_the_oracle_notices_a_loss():
    """An event whose call returned, and that is nowhere."""
    world, found = _finished()
    id_, _ = _a_line(found)
    found[:] = [item for item in found if item[0] != id_]

    with pytest.raises(AssertionError, match="lost"):
        world.oracle.judge()


def test_the_oracle_notices_a_second_id():
    """The same line under another ID."""
    world, found = _finished()
    id_, data = _a_line(found)
    found.append((f"{id_}0", data))

    with pytest.raises(AssertionError, match="has the IDs"):
        world.oracle.judge()


def test_the_oracle_notices_an_invention():
    """A line that nobody recorded."""
    world, found = _finished()
    found.append(("x", b'{"message":"999999","event":{}}'))

    with pytest.raises(AssertionError, match="invented"):
        world.oracle.judge()
