"""The doctor as a person runs it, and what it found."""

import json

import pytest

from dashcam.cli import main


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """Run it with some settings; gives its exit status and its findings."""
    for name in ("NETRC", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def doctor(environment, *options):
        for name, value in ({"DASHCAM_DIR": str(tmp_path / "state")} | environment).items():
            monkeypatch.setenv(name, value)
        status = main(["doctor", "--json", *options])
        return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return doctor


@pytest.fixture
def broken(doctor):
    """The way and hop that the doctor names as broken; the others before it are well, and it says what to do."""

    def broken(environment, *options):
        status, findings = doctor(environment, *options)
        assert status == 1
        assert [finding["is_well"] for finding in findings] == [True] * (len(findings) - 1) + [False]
        last = findings[-1]
        assert last["fix"] or "LOGGLY_" in last["seen"] or "too old" in last["seen"]
        return f"{last['way']} {last['hop']}", last["seen"]

    return broken
