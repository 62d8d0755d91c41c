"""The registry, and destinations of others that cannot be used."""

import pytest

from dashcam.destinations import registry
from dashcam.errors import SettingsError


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:DESTINATION", "No module named 'no_such_module'"),
        ("json:DESTINATION", "has no attribute 'DESTINATION'"),
        ("json:dumps", "it is not a Destination, but a function"),
    ],
)
def test_a_destination_that_cannot_be_used_is_a_fault_of_the_settings(tmp_path, monkeypatch, target, reason):
    """Its name and what it leads to are said; the destinations of Dashcam are not touched by it."""
    info = tmp_path / "dashcam_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dashcam-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dashcam.destinations]\nbroken = {target}\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(SettingsError, match=f"^The destination 'broken' cannot be used: {target}.*{reason}"):
        registry.get("broken")
    assert registry.get("local").name == "local"
