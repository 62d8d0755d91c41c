"""Every hop to Loggly and back: well, and each one broken."""

import time

import pytest
import trustme

from dashcam.testing.fake_loggly import Behaviour, StandIn

from ...ports import free_port
from ..fluentd.server import Server, certified, closes


@pytest.fixture
def loggly(request):
    with StandIn(**getattr(request, "param", {})) as stand_in:
        yield stand_in


def test_all_is_well(doctor, loggly):
    """Each hop in the order an event meets them, and the canary was found after the time it took."""
    status, findings = doctor(loggly.environment())

    assert status == 0
    assert [f"{finding['way']} {finding['hop']}" for finding in findings] == [
        "recording spool",
        "sending shipper",
        "sending configuration",
        "sending name",
        "sending connection",
        "sending credentials",
        "sending limits",
        "sending clock",
        "finding configuration",
        "finding name",
        "finding connection",
        "finding credentials",
        "finding limits",
        "finding canary",
    ]
    assert "found 0." in findings[-1]["seen"]
    assert len(loggly.lines()) == 1


@pytest.mark.parametrize(
    ("changed", "hop"),
    [
        ({"DASHCAM_DIR": "/dev/null/state"}, "recording spool"),
        ({"DASHCAM_SPOOL_LIMIT": "999999GB"}, "recording spool"),
        ({"LOGGLY_TOKEN": ""}, "sending configuration"),
        ({"LOGGLY_URL": "http://nowhere.invalid"}, "sending name"),
        ({"LOGGLY_TOKEN": "another"}, "sending credentials"),
        ({"LOGGLY_API_TOKEN": ""}, "finding configuration"),
        ({"LOGGLY_API_URL": ""}, "finding configuration"),
        ({"LOGGLY_API_URL": "http://nowhere.invalid"}, "finding name"),
        ({"LOGGLY_API_TOKEN": "another"}, "finding credentials"),
    ],
)
def test_a_wrong_setting_is_the_hop_it_breaks(broken, loggly, changed, hop):
    """The token that is wrong is not shown."""
    found, seen = broken(loggly.environment() | changed)

    assert found == hop
    assert "another" not in seen


@pytest.mark.parametrize(("variable", "hop"), [("LOGGLY_URL", "sending"), ("LOGGLY_API_URL", "finding")])
def test_nobody_listens(broken, loggly, variable, hop):
    """The connection, with the address."""
    port = free_port()

    found, seen = broken(loggly.environment() | {variable: f"http://127.0.0.1:{port}"})

    assert found == f"{hop} connection"
    assert f"127.0.0.1:{port}" in seen


@pytest.mark.parametrize("name", ["localhost", "other.example"])
def test_a_certificate_is_not_trusted(broken, loggly, name, monkeypatch, tmp_path):
    """Signed by nobody, or for another name."""
    authority = trustme.CA()
    with Server(closes, tls=certified(authority.issue_cert(name))) as server:
        if name != "localhost":
            authority.cert_pem.write_to_path(tmp_path / "ca.pem")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))

        found, seen = broken(loggly.environment() | {"LOGGLY_URL": f"https://localhost:{server.port}"})

    assert found == "sending TLS"
    assert "not trusted" in seen


def test_no_tls_is_spoken(broken, loggly):
    """It is told from a bad certificate."""
    found, seen = broken(
        loggly.environment() | {"LOGGLY_URL": loggly.url.replace("http://127.0.0.1", "https://localhost")}
    )

    assert found == "sending TLS"
    assert "does not speak TLS" in seen


@pytest.mark.parametrize("fault", ["413", "429", "503", "500"])
def test_too_much_is_sent(broken, loggly, fault):
    """The limits."""
    loggly.sending.plan(fault)

    assert broken(loggly.environment())[0] == "sending limits"


def test_too_much_is_searched(broken, loggly):
    """The limits of searching, which sending has not."""
    loggly.searching.plan("503", retry_after="1000")

    assert broken(loggly.environment())[0] == "finding limits"


@pytest.mark.parametrize("loggly", [{"clock": lambda: time.time_ns() - 3600 * 10**9}], ids=["behind"], indirect=True)
def test_a_clock_is_wrong(broken, loggly):
    """By how much, and which way."""
    found, seen = broken(loggly.environment())

    assert found == "sending clock"
    assert "3,600 s ahead of" in seen or "3,599 s ahead of" in seen or "3,601 s ahead of" in seen


@pytest.mark.parametrize("loggly", [{"behaviour": Behaviour(delay_s=1000)}], ids=["late"], indirect=True)
def test_the_canary_is_not_found(broken, loggly):
    """It was taken, and does not come out."""
    found, seen = broken(loggly.environment(), "--wait", "0.3")

    assert found == "finding canary"
    assert "not found within 0.3 s" in seen


def test_each_backend_is_examined(doctor, loggly):
    """One that is broken does not hide the next."""
    environment = loggly.environment() | {"LOG_BACKEND": "loggly,local,stdout", "LOGGLY_TOKEN": ""}

    status, findings = doctor(environment)

    assert status == 1
    assert [finding["route"] for finding in findings if finding["hop"] == "spool"] == ["loggly", "local", "stdout"]
    assert [finding["is_well"] for finding in findings if finding["route"] == "local"] == [True] * 5
