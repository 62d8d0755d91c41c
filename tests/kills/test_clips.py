"""Clips through kills of services and shipper: every DEBUG line of a failed request, none of others, none twice."""

import json

import pytest

from ..processes import dashcam
from .clip_traffic import STEPS, Traffic, fails


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("requests", "kills"),
    [(3_000, 30), pytest.param(100_000, 1_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)])],
)
def test_clips_survive_kills(tmp_path, monkeypatch, requests, kills):
    """Also the account: each event is in one place."""
    monkeypatch.setenv("DASHCAM_DIR", "")
    traffic = Traffic(tmp_path, requests)
    try:
        traffic.run(kills)
    finally:
        traffic.stop()

    found = traffic.arrived()
    whole = [number for number in range(requests) if number not in traffic.interrupted]
    wanted = {
        f"{service} {number} {step}"
        for number in whole
        if fails(number)
        for service in ("cars", "parts")
        for step in range(STEPS)
    }
    others = {message for message in found if int(message.split()[1]) not in traffic.interrupted}
    assert wanted - found.keys() == set()
    assert others - wanted == set()
    assert [message for message, count in found.items() if count > 1] == []
    assert min(traffic.kills[name] for name in ("cars", "parts", "shipper")) > kills // 10
    account = json.loads(dashcam("status", "--json", "--full", folder=tmp_path / "state", LOG_BACKEND="local").stdout)
    route = account["routes"]["local"]
    parts = sum(route[name] for name in ("earlier", "delivered", "held", "expired", "waiting", "dead"))
    assert account["recorded"] == parts
    assert route["waiting"] == 0
