"""What the distributions of the services require."""

from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
OURS = {"dashcam": ROOT, "dashcam-chassis": ROOT / "services" / "chassis"}


@pytest.mark.parametrize("name", ["dashcam-chassis", "cars", "parts"])
def test_our_own_libraries_are_required_by_path(name):
    """A name alone is looked up in a registry, where anybody can take it."""
    required = [Requirement(text) for text in requires(name) or [] if text.startswith("dashcam")]

    assert required
    assert {each.name: each.url for each in required} == {each.name: OURS[each.name].as_uri() for each in required}
