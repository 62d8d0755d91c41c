"""Whatever fails, and whenever: nothing is lost, nothing is invented, and in the end all is delivered.

`DASHCAM_SIMULATION_SEEDS=FIRST:LAST` chooses the seeds; one that fails is kept in `seeds/` and runs for ever.
"""

import os
from pathlib import Path

import pytest

from .faults import ERRORS
from .world import World

SEEDS = Path(__file__).with_name("seeds")
FIRST, LAST = map(int, os.environ.get("DASHCAM_SIMULATION_SEEDS", "0:20").split(":"))
KEPT = {int(path.name) for path in SEEDS.iterdir() if path.name.isdecimal()}

# The files at which a shipper's death and an error must be tried: checkpoints, removed segments, dead letters.
POINTS = {
    "fsync": {".new", ".jsonl", "positions"},
    "write": {".journal", ".jsonl"},
    "replace": {".new"},
    "unlink": {".segment"},
}


@pytest.mark.parametrize("seed", sorted(KEPT | set(range(FIRST, LAST))))
def test_a_seed(tmp_path, seed):
    """Conservation, no invention, liveness."""
    world = World(tmp_path, seed)
    try:
        world.run()
    except AssertionError as fault:
        (SEEDS / str(seed)).touch()
        raise AssertionError(f"seed {seed}, steps {world.trace}: {fault}") from fault


@pytest.mark.parametrize("error", [None, *ERRORS])
@pytest.mark.parametrize("call", POINTS)
def test_named_points(tmp_path, call, error):
    """A kill, or an error, before and after each of the first calls of a kind; all that must be reached is reached."""
    reached = set()
    for number in range(1, 9):
        for is_after in (False, True):
            world = World(tmp_path / f"{number}{is_after}", number)
            world.run_with((call, number, error, is_after))
            reached |= {name for _, name, _ in world.disk.reached}

    assert reached >= POINTS[call]


def test_the_oracle_notices_a_loss(tmp_path):
    """An event that was acknowledged and is in no store."""
    world = World(tmp_path, 0)
    world.run_with(None)
    del world.store[next(id_ for id_, data in world.store.items() if b'"message":"1"' in data)]

    with pytest.raises(AssertionError, match="lost"):
        world.check()


def test_the_oracle_notices_a_second_id(tmp_path):
    """The same line under another ID."""
    world = World(tmp_path, 0)
    world.run_with(None)
    id_, data = next((id_, data) for id_, data in world.store.items() if b'"message":"1"' in data)
    world.store[f"{id_}0"] = data

    with pytest.raises(AssertionError, match="has the IDs"):
        world.check()


def test_a_seed_gives_the_same_run(tmp_path):
    """Its steps and what was recorded."""
    first, second = World(tmp_path / "first", 7), World(tmp_path / "second", 7)
    for world in (first, second):
        world.run()

    assert first.trace == second.trace
    assert len(first.store) == len(second.store)
