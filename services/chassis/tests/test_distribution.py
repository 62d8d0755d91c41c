"""What the distributions of the services require."""

from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = {"dashcam": ROOT, "dashcam-chassis": ROOT / "services" / "chassis"}


@pytest.mark.parametrize("name", ["dashcam-chassis", "cars", "parts"])
def test_our_own_libraries_are_required_by_path(name):
    """A name alone is looked up in a registry, where anybody can take it."""
    required = [text.split(" @ ") for text in requires(name) or [] if text.startswith("dashcam")]

    assert required
    assert required == [[library, OURS[library].as_uri()] for library, *_ in required]
