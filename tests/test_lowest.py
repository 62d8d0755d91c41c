"""The lowest versions that are allowed are those that `make test-lowest` tests."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NOT_OF_USERS = {"bench", "dev"}


def test_the_versions_that_are_tested():
    """Each requirement of a user stands in `lowest.txt`, with the version that it begins with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].items()
    wanted = [*project["dependencies"], *(one for name, some in extras if name not in _NOT_OF_USERS for one in some)]
    lowest = {one.partition(";")[0].replace(">=", "==") for one in wanted if not one.startswith("dashcam[")}

    lines = (ROOT / "tests" / "lowest.txt").read_text().splitlines()

    assert {re.sub(r"(\.0)+$", "", line) for line in lines if not line.startswith("#")} == {
        re.sub(r"(\.0)+$", "", line) for line in lowest
    }
