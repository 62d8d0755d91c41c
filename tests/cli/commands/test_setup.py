"""`dashcam setup`: what it prints, and its exit status."""

import json

import pytest

from dashcam.cli import OK, main
from dashcam.destinations.elasticsearch.saved_objects import kibana_pack

from ...scripted import scripted


def cluster(asked):
    if asked.path == "/":
        return 200, {"version": {"number": "9.5.3"}}
    if asked.path == "/_security/api_key":
        return 200, {"encoded": "VGhlIGtleQ=="}
    return (404, {}) if asked.method == "GET" else (200, {"acknowledged": True, "success": True, "successCount": 2})


@pytest.fixture
def engine(monkeypatch):
    with scripted(cluster) as (url, asked):
        monkeypatch.setenv("ELASTICSEARCH_URL", url)
        monkeypatch.setenv("KIBANA_URL", url)
        yield asked


def test_each_step_is_a_line(engine, capsys):
    """What, and what was done about it."""
    assert main(["setup", "elk"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "index_template/dashcam-logs: set" in lines
    assert "stream logs-dashcam-default: made" in lines


def test_json_is_an_object_a_step(engine, capsys):
    """For programs that set a stack up."""
    assert main(["setup", "elk", "--json"]) == 0

    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"what": "stream logs-dashcam-default", "done": "made"} in steps


def test_keys_on_request(engine, tmp_path, capsys):
    """The keys are in the file, and nowhere else."""
    assert main(["setup", "elk", "--keys", str(tmp_path / "keys")]) == 0

    printed = capsys.readouterr()
    assert "VGhlIGtleQ==" in (tmp_path / "keys").read_text()
    assert "VGhlIGtleQ==" not in printed.out + printed.err


def test_dashboards_where_kibana_is(engine, capsys):
    """With KIBANA_URL the pack is imported, in one request."""
    assert main(["setup", "elk"]) == 0

    assert "imported 2" in capsys.readouterr().out
    assert [asked.path for asked in engine if "_import" in asked.path] == ["/api/saved_objects/_import"]


def test_an_engine_that_is_not_there(monkeypatch, capsys):
    """Exit status 3, and one sentence."""
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://me:secret@127.0.0.1:9")

    assert main(["setup", "elk"]) == 3

    error = capsys.readouterr().err
    assert error.startswith("dashcam: http://127.0.0.1:9 cannot be reached")
    assert "secret" not in error


def test_the_pack_is_printed(capsysbinary):
    """Byte for byte, to be imported by hand."""
    assert main(["setup", "kibana-pack"]) == OK

    assert capsysbinary.readouterr().out == kibana_pack()
