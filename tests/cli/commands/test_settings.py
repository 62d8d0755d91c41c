"""`dashcam settings`: every setting, its value and its meaning."""

import json

import pytest

from dashcam.cli import main
from dashcam.destinations.registry import every_setting


@pytest.fixture
def variables(monkeypatch):
    """The variables of all settings; one is set, and one of those is a secret."""
    names = [field.metadata["variable"] for field in every_setting()]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DASHCAM_SPOOL_LIMIT", "7MB")
    monkeypatch.setenv("LOGGLY_TOKEN", "open-sesame")
    return names


def test_each_setting_has_its_value_and_meaning(variables, capsys):
    """A value that is not the default is marked; a secret is masked."""
    assert main(["settings"]) == 0

    rows = capsys.readouterr().out.splitlines()
    assert [row.partition("=")[0] for row in rows[::2]] == variables
    assert all(row.startswith("    ") for row in rows[1::2])
    assert [row for row in rows if row.endswith("  (set)")] == [
        "DASHCAM_SPOOL_LIMIT=7MB  (set)",
        "LOGGLY_TOKEN=***  (set)",
    ]


def test_json_is_one_object(variables, capsys):
    """Variables to values."""
    assert main(["settings", "--json"]) == 0

    values = json.loads(capsys.readouterr().out)
    assert list(values) == variables
    assert (values["DASHCAM_SPOOL_LIMIT"], values["LOGGLY_TOKEN"]) == ("7MB", "***")
