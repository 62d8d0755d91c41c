"""Every hop to fluentd and to the engine: well, and each one broken."""

import contextlib
import time

import pytest
import trustme

from ...engines.streams import set_up, settings_for
from ...ports import free_port
from ...scripted import scripted
from ..fluentd.server import Guarded, Orderly, Server, certified

BANNER = {"version": {"number": "9.5.3"}}
STREAMS = {"data_streams": [{"template": "dashcam-logs"}, {"template": "dashcam-spans"}]}


def playing(**answers):
    """An engine that is well but for these answers; `_bulk` takes what it is sent and no search finds it."""

    def answer(asked):
        name = next((name for name in ("_data_stream", "_settings", "_cat", "_bulk") if name in asked.path), "banner")
        defaults = {
            "_cat": [{"epoch": str(int(time.time()))}],
            "banner": BANNER,
            "_data_stream": STREAMS,
            "_settings": {},
            "_bulk": {"items": [{"create": {"status": 201}}]},
        }
        return answers.get(name.strip("_"), (200, defaults.get(name)))

    return scripted(answer)


def guarded(sock):
    """A forward server with a shared key, which does not mind a client that goes away or speaks TLS."""
    with contextlib.suppress(StopIteration, TypeError):
        Guarded(Orderly())(sock)


def settings(url, route="elasticsearch"):
    return {"LOG_BACKEND": route, "ELASTICSEARCH_URL": url}


def test_all_is_well_with_a_real_engine(doctor, engine_url, namespace):
    """Each hop, and the canary comes back as it was sent."""
    set_up(settings_for(engine_url, namespace))

    status, findings = doctor(settings(engine_url) | {"DASHCAM_NAMESPACE": namespace})

    assert status == 0, findings[-1]
    assert [f"{finding['way']} {finding['hop']}" for finding in findings] == [
        "recording spool",
        "sending shipper",
        "sending configuration",
        "sending name",
        "sending connection",
        "sending credentials",
        "sending version",
        "sending template",
        "sending limits",
        "sending clock",
        "sending canary",
        "finding canary",
    ]


@pytest.mark.parametrize(
    ("changed", "hop"),
    [
        ({"ELASTICSEARCH_API_KEY": "two words"}, "sending configuration"),
        ({"ELASTICSEARCH_URL": "http://nowhere.invalid"}, "sending name"),
    ],
)
def test_a_wrong_setting_is_the_hop_it_breaks(doctor, changed, hop):
    """Before anything is asked."""
    status, findings = doctor(settings("http://127.0.0.1:1") | changed)

    assert status == 1
    assert f"{findings[-1]['way']} {findings[-1]['hop']}" == hop


@pytest.mark.parametrize(
    ("answers", "hop"),
    [
        ({"banner": (401, {"error": {"type": "security_exception", "reason": "missing"}})}, "credentials"),
        ({"banner": (200, {"version": {"number": "6.8.0"}})}, "version"),
        ({"data_stream": (404, {"error": {"type": "index_not_found_exception", "reason": "no such"}})}, "template"),
        ({"data_stream": (200, {"data_streams": [{"template": "logs"}]})}, "template"),
        ({"settings": (200, {".ds": {"settings": {"index.blocks.read_only_allow_delete": "true"}}})}, "limits"),
        ({"cat": (200, [{"epoch": "1000000"}])}, "clock"),
        ({"bulk": (403, {"error": {"type": "security_exception", "reason": "unauthorized"}})}, "canary"),
    ],
)
def test_an_answer_is_the_hop_it_breaks(broken, answers, hop):
    """In the engine's own words, with what to do."""
    with playing(**answers) as (url, _):
        assert broken(settings(url))[0] == f"sending {hop}"


@pytest.mark.parametrize(
    ("status", "seen"), [(403, "the key has no right to ask"), (400, "cannot be asked"), (503, "cannot be asked")]
)
def test_what_the_engine_does_not_say_is_no_matter_of_rights(doctor, status, seen):
    """Unless it says so: there may be no key at all."""
    refusal = (status, {"error": {"type": "x", "reason": "no handler found"}})

    with playing(data_stream=refusal, settings=refusal, cat=refusal) as (url, _):
        _, findings = doctor(settings(url), "--wait", "1")

    by_hop = {finding["hop"]: finding["seen"] for finding in findings}
    assert [by_hop[hop].split(":")[0] for hop in ("template", "limits", "clock")] == [seen] * 3


def test_kibana_does_not_look_where_log_lines_are(doctor, engine_url, namespace):
    """The last hop, where its address is known; events are in the engine all the same."""
    set_up(settings_for(engine_url, namespace))
    chosen = {"settings": {"observability:logSources": {"userValue": ["logs-nginx-*"]}}}

    with scripted(lambda _: (200, chosen)) as (kibana, _):
        environment = settings(engine_url) | {"DASHCAM_NAMESPACE": namespace, "KIBANA_URL": kibana}
        status, findings = doctor(environment)

    assert status == 1
    assert [finding["hop"] for finding in findings[-2:]] == ["canary", "Kibana"]
    assert "setup elk" in findings[-1]["fix"]


def test_nothing_listens_at_the_engine(broken):
    """The client."""
    assert broken(settings(f"http://127.0.0.1:{free_port()}"))[0] == "sending connection"


def test_the_engines_certificate_is_not_trusted(broken):
    """TLS."""
    certificate = trustme.CA().issue_cert("localhost")
    with Server(Orderly(), tls=certified(certificate)) as server:
        assert broken(settings(f"https://localhost:{server.port}"))[0] == "sending TLS"


@pytest.mark.parametrize("variable", ["ELASTICSEARCH_CA", "REQUESTS_CA_BUNDLE"])
def test_a_file_of_authorities_has_none(broken, tmp_path, variable):
    """It is named, as a broken hop like any other."""
    (tmp_path / "ca.pem").write_text("no certificate\n")
    with Server(Orderly(), tls=certified(trustme.CA().issue_cert("localhost"))) as server:
        found, seen = broken(settings(f"https://localhost:{server.port}") | {variable: str(tmp_path / "ca.pem")})

    assert found == "sending TLS"
    assert str(tmp_path / "ca.pem") in seen


def test_a_proxy_may_be_named_without_a_scheme(broken):
    """As curl and requests read it; the port that nothing listens at is the proxy's."""
    port = free_port()
    found, seen = broken(settings("http://engine.invalid:9200") | {"HTTP_PROXY": f"127.0.0.1:{port}"})

    assert found == "sending connection"
    assert f"127.0.0.1:{port}" in seen


def test_the_engine_takes_and_does_not_find(doctor):
    """No other program is between the two, so none is named."""
    with playing() as (url, _):
        _, findings = doctor(settings(url), "--wait", "0.3")

    assert f"{findings[-1]['way']} {findings[-1]['hop']}" == "finding canary"
    assert "fluentd" not in findings[-1]["fix"]
    assert "setup elk" in findings[-1]["fix"]


def test_fluentd_takes_and_the_engine_does_not_find(broken):
    """The canary went into fluentd and never came out of the engine."""
    with Server(Orderly()) as fluentd, playing() as (url, _):
        environment = settings(url, "elk") | {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}"}
        found, seen = broken(environment, "--wait", "0.3")
        sent = fluentd.handle.records

    assert found.startswith("finding ")
    assert [record["message"] for _, _, record in sent] == ["canary of dashcam doctor"]
    assert seen


@pytest.mark.parametrize(
    ("changed", "hop"),
    [
        ({"FLUENTD_URL": "forward://nowhere.invalid"}, "sending name"),
        ({"FLUENTD_URL": "forward://127.0.0.1:{free}"}, "sending connection"),
        ({"FLUENTD_SHARED_KEY": "wrong"}, "sending credentials"),
        ({"FLUENTD_URL": "forward+tls://localhost:{port}"}, "sending TLS"),
    ],
)
def test_fluentd_is_the_hop_it_breaks(broken, changed, hop):
    """Name, client, TLS, the shared key."""
    with Server(guarded) as fluentd:
        right = {"FLUENTD_URL": f"forward://127.0.0.1:{fluentd.port}", "FLUENTD_SHARED_KEY": "sesame"}
        wrong = {name: value.format(free=free_port(), port=fluentd.port) for name, value in changed.items()}

        found, seen = broken({"LOG_BACKEND": "elk"} | right | wrong)

    assert found == hop
    assert "sesame" not in seen
