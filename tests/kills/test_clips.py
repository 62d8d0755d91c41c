"""Clips through kills of services and shipper: every DEBUG line of a failed request, none of others, none twice."""

import pytest

from .clip_traffic import Traffic, spool_bytes
from .clips import is_well, judge


def test_a_service_waits_for_room_while_segments_go(tmp_path):
    """One that is removed between the listing and the look at it ends no service: a run went on without it."""
    (tmp_path / "here.segment").write_bytes(b"123")
    (tmp_path / "gone.segment").symlink_to(tmp_path / "nowhere")

    assert spool_bytes(tmp_path) == 3


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("requests", "kills"),
    [(1_500, 15), pytest.param(100_000, 1_000, marks=[pytest.mark.long, pytest.mark.timeout(7200)])],
)
def test_clips_survive_kills(tmp_path, monkeypatch, requests, kills):
    """Also the account: each event is in one place. `make clips` has ten times the requests."""
    monkeypatch.setenv("DASHCAM_DIR", "")
    traffic = Traffic(tmp_path, requests, kills)
    try:
        traffic.run()
    finally:
        traffic.stop()

    result = judge(traffic)
    assert is_well(result), result
    assert result["lines of failed requests"] > 0.8 * requests // 100 * 10
    assert min(traffic.kills[name] for name in ("cars", "parts", "shipper")) > kills // 10
