"""What the environment may say."""

import os
import platform
from pathlib import Path

import pytest

from dashcam.destinations import elasticsearch, fluentd, local, loggly
from dashcam.destinations.registry import every_setting, load_settings
from dashcam.errors import SettingsError
from dashcam.patterns import OwnSecrets
from dashcam.settings import (
    OF_DESTINATIONS,
    RecordSettings,
    Secret,
    Settings,
    in_force,
    load,
    load_or_default,
    service_identity,
    variables,
)

ELASTICSEARCH, ELK, LOCAL, LOGGLY = (folder.DESTINATION.options for folder in (elasticsearch, fluentd, local, loggly))


def test_without_a_word(monkeypatch):
    """Every setting has its default; the folder is that of the user's state."""
    monkeypatch.setenv("XDG_STATE_HOME", "/state")

    settings, recording = load(Settings, {}), load(RecordSettings, {})

    assert (settings.routes, settings.spool_limit_bytes, settings.sync_interval_s) == (("local",), 512_000_000, 1.0)
    assert (recording.level, recording.trust_request_id) == ("INFO", True)
    assert settings.dir == recording.dir == Path("/state/dashcam")
    assert load(LOGGLY, {}).token == ""
    assert load(ELK, {}).fluentd_ca is None


VALID = [
    (Settings, "LOG_BACKEND", "loggly", "routes", ("loggly",)),
    (Settings, "LOG_BACKEND", " loggly , elk,loggly", "routes", ("loggly", "elk")),
    (Settings, "LOG_BACKEND", "my-own_1", "routes", ("my-own_1",)),
    (RecordSettings, "LOG_LEVEL", "debug", "level", "DEBUG"),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "1GiB", "spool_limit_bytes", 1 << 30),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "7 mb", "spool_limit_bytes", 7_000_000),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "12345678", "spool_limit_bytes", 12_345_678),
    (Settings, "DASHCAM_SYNC_INTERVAL", "0.25", "sync_interval_s", 0.25),
    (LOCAL, "DASHCAM_RETENTION", "30d", "retention_days", 30),
    (RecordSettings, "DASHCAM_TRUST_REQUEST_ID", "never", "trust_request_id", False),
    (ELASTICSEARCH, "DASHCAM_NAMESPACE", "my_place.1", "namespace", "my_place.1"),
    (LOGGLY, "LOGGLY_TAGS", "a, b.c ,,", "tags", ("a", "b.c")),
    (LOGGLY, "LOGGLY_URL", "https://logs.example.org/", "url", "https://logs.example.org"),
    (
        ELK,
        "FLUENTD_URL",
        "forward://a:1,forward+tls://u:p@b:2",
        "fluentd_urls",
        ("forward://a:1", "forward+tls://u:p@b:2"),
    ),
    (ELK, "FLUENTD_CA", __file__, "fluentd_ca", Path(__file__)),
    (RecordSettings, "LOG_LEVEL", "  ", "level", "INFO"),
]


@pytest.mark.parametrize(("kind", "variable", "text", "field", "expected"), VALID)
def test_what_can_be_used(kind, variable, text, field, expected):
    """Read as it was meant; blanks alone count as nothing."""
    assert getattr(load(kind, {variable: text}), field) == expected


INVALID = [
    (Settings, "LOG_BACKEND", "Loggly", "the name of a backend"),
    (Settings, "LOG_BACKEND", "loggly,,elk", "the name of a backend"),
    (Settings, "LOG_BACKEND", "../loggly", "the name of a backend"),
    (RecordSettings, "LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "much", "a size such as"),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "-1", "a size such as"),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "1.5GB", "a size such as"),
    (RecordSettings, "DASHCAM_SPOOL_LIMIT", "1TB", "a size such as"),
    (Settings, "DASHCAM_SYNC_INTERVAL", "0", "seconds above 0"),
    (Settings, "DASHCAM_SYNC_INTERVAL", "nan", "seconds above 0"),
    (Settings, "DASHCAM_SYNC_INTERVAL", "1e3", "seconds above 0"),
    (LOCAL, "DASHCAM_RETENTION", "14", "days, such as 14d"),
    (LOCAL, "DASHCAM_RETENTION", "0d", "days, such as 14d"),
    (RecordSettings, "DASHCAM_TRUST_REQUEST_ID", "sometimes", "always or never"),
    (ELASTICSEARCH, "DASHCAM_NAMESPACE", "Mine-1", "lowercase letters"),
    (LOCAL, "DASHCAM_LOCAL_LIMIT", "1MB", "at least 32MB"),
    (LOGGLY, "LOGGLY_TAGS", "-a", "tags of letters"),
    (LOGGLY, "LOGGLY_URL", "logs.example.org", "http://host:port or https://host:port"),
    (LOGGLY, "LOGGLY_URL", "https://host:99999", "http://host:port"),
    (ELK, "FLUENTD_URL", "http://a:1", "forward://host:port"),
    (ELK, "FLUENTD_CA", "/no/such/file", "the path of a file"),
]


@pytest.mark.parametrize(("kind", "variable", "text", "expected"), INVALID)
def test_what_cannot(kind, variable, text, expected):
    """The fault names the variable and says what is allowed."""
    with pytest.raises(SettingsError, match=expected) as raised:
        load(kind, {variable: text})

    assert str(raised.value).startswith(variable)


def test_a_name_that_is_no_setting():
    """The command says so, and which there are; those of destinations that are not used among them."""
    with pytest.raises(SettingsError, match=r"DASHCAM_SPOL_LIMIT is not a setting. Did you mean DASHCAM_SPOOL_LIMIT"):
        load_settings({"DASHCAM_SPOL_LIMIT": "1GB", "DASHCAM_NAMESPACE": "default"})
    with pytest.raises(SettingsError, match=r"DASHCAM_COLOUR is not a setting. Known: .*DASHCAM_NAMESPACE"):
        load_settings({"DASHCAM_COLOUR": "red"})


def test_the_names_of_destinations():
    """Those that a service may have, too, are all that any destination has and recording and the command have not."""
    every = {each.metadata["variable"] for each in every_setting()}
    others = {each.metadata["variable"] for each in variables([RecordSettings, Settings])}
    assert {name for name in every - others if name.startswith("DASHCAM_")} == OF_DESTINATIONS


def test_a_route_nobody_uses_stops_nothing():
    """An unreadable FLUENTD_CA is a fault for who ships to fluentd, and for nobody else."""
    environment = {"FLUENTD_CA": "/no/such/file"}

    assert load_settings(environment).routes == ("local",)
    assert load(RecordSettings, environment).level == "INFO"
    with pytest.raises(SettingsError, match="FLUENTD_CA"):
        load_settings(environment | {"LOG_BACKEND": "local,elk"})


def test_all_faults_at_once():
    """Whoever sets up a service sees them in one go, a line each."""
    with pytest.raises(SettingsError) as raised:
        load_settings({"LOG_LEVEL": "loud", "DASHCAM_RETENTION": "ever", "DASHCAM_COLOUR": "red", "PATH": "/bin"})

    lines = str(raised.value).splitlines()
    assert sorted(line.partition("=")[0].partition(" ")[0] for line in lines) == [
        "DASHCAM_COLOUR",
        "DASHCAM_RETENTION",
        "LOG_LEVEL",
    ]


ADDRESSES = [
    "ftp://elastic:hunter2@db",
    "https://elastic:Hu/hunter2@db",
    "https://elastic:Hu?hunter2@db",
    "https://elastic:1#hunter2@db",
    "https://elastic:Hu@hunter2/x@db",
    "elastic:hunter2@db:9200",
    "https://elastic:hunter2@db:99999",
    "https://[elastic:hunter2@db",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("variable", ["ELASTICSEARCH_URL", "KIBANA_URL"])
def test_a_fault_shows_no_secret(variable, address):
    """Neither the user of an address nor the password, whatever signs it has."""
    with pytest.raises(SettingsError) as raised:
        load(ELASTICSEARCH, {variable: address})

    assert "hunter2" not in str(raised.value)
    assert "elastic" not in str(raised.value)
    assert "***@db" in str(raised.value)


def test_each_address_of_a_list_is_masked():
    """Several servers, each with a user."""
    urls = "forward://a:hunter2@one,forward+tls://b:hunter2@two"

    assert "hunter2" not in repr(load(ELASTICSEARCH, {"ELASTICSEARCH_URL": "http://elastic:hunter2@db:9200"}))
    assert "hunter2" not in repr(load(ELK, {"FLUENTD_URL": urls}))
    with pytest.raises(SettingsError) as raised:
        load(ELK, {"FLUENTD_URL": urls + ",http://c:hunter2@three"})

    assert "forward://***@one,forward+tls://***@two,http://***@three" in str(raised.value)


def test_settings_show_no_secret():
    """Printed whole, as a careless log line would."""
    options = load(LOGGLY, {"LOGGLY_TOKEN": "hunter2"})

    assert "hunter2" not in repr(options)
    assert "hunter2" not in repr(load(ELASTICSEARCH, {"ELASTICSEARCH_URL": "http://elastic:hunter2@db:9200"}))
    assert "hunter2" not in repr(load(ELK, {"FLUENTD_SHARED_KEY": "hunter2"}))
    assert options.token == "hunter2"
    assert (repr(Secret("hunter2")), repr(Secret())) == ("'***'", "''")


def test_what_is_in_force(monkeypatch):
    """Each variable with its text, secrets masked."""
    monkeypatch.setenv("LOGGLY_TOKEN", "hunter2")
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://cars:hunter2@db:9200")
    monkeypatch.setenv("LOG_LEVEL", "WARNING")

    texts = {setting.metadata["variable"]: in_force(setting) for setting in every_setting()}

    assert texts["LOG_LEVEL"] == "WARNING"
    assert texts["DASHCAM_RETENTION"] == "14d"
    assert texts["LOGGLY_TOKEN"] == "***"
    assert texts["ELASTICSEARCH_URL"] == "http://***@db:9200"
    assert texts["LOGGLY_API_TOKEN"] == ""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_SERVICE_NAME": "cars"}, {"name": "cars"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=parts, service.version = 2"}, {"name": "parts", "version": "2"}),
        ({"OTEL_SERVICE_NAME": "cars", "OTEL_RESOURCE_ATTRIBUTES": "service.name=parts"}, {"name": "cars"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old"}, {"environment": "old"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "garbage,=,a=,,service.name=a%20b%3D"}, {"name": "a b="}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=one"}, {"node": "one"}),
    ],
)
def test_who_a_service_is(environment, expected):
    """By OpenTelemetry's variables; what they do not say is absent, but for the node."""
    assert service_identity(environment) == {"node": platform.node()} | expected


LINKS = [
    ("DASHCAM_SERVICE_HOST", "10.0.0.1"),
    ("DASHCAM_SERVICE_PORT", "80"),
    ("DASHCAM_SERVICE_PORT_HTTP", "80"),
    ("DASHCAM_PORT", "tcp://10.0.0.1:80"),
    ("DASHCAM_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ("DASHCAM_PORT_80_TCP_PROTO", "tcp"),
    ("DASHCAM_PORT_80_TCP_PORT", "80"),
    ("DASHCAM_PORT_80_TCP_ADDR", "10.0.0.1"),
    ("DASHCAM_VIEWER_SERVICE_HOST", "10.0.0.1"),
    ("DASHCAM_VIEWER_PORT_7411_TCP_ADDR", "10.0.0.1"),
    ("DASHCAM_NAME", "/web/dashcam"),
    ("DASHCAM_ENV_PATH", "/bin"),
]


@pytest.mark.parametrize(("name", "value"), LINKS)
def test_a_link_of_kubernetes_or_docker_is_ignored(name, value):
    """By the command and by a service: nobody wrote it."""
    assert load_settings({name: value, "HOME": "/root"}).routes == ("local",)
    assert load_or_default(RecordSettings, {name: value})[1] == []


@pytest.mark.parametrize("name", ["DASHCAM_HOST", "DASHCAM_PORTS", "DASHCAM_SERVICE", "DASHCAM_NAME", "DASHCAM_PORT"])
def test_what_only_looks_like_a_link(name):
    """It is a mistake like any other."""
    with pytest.raises(SettingsError, match=f"{name} is not a setting"):
        load_settings({name: "garage", "HOME": "/root"})


def test_a_service_goes_on_with_the_defaults():
    """Each fault is a sentence, and what can be used is used."""
    settings, faults = load_or_default(
        RecordSettings, {"LOG_LEVEL": "LOUD", "DASHCAM_SPOOL_LIMIT": "7MB", "DASHCAM_TRUST_REQEST_ID": "never"}
    )

    assert (settings.level, settings.spool_limit_bytes) == ("INFO", 7_000_000)
    assert faults == [
        (
            "LOG_LEVEL='LOUD' cannot be used: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL. "
            "LOG_LEVEL=INFO is used instead."
        ),
        "DASHCAM_TRUST_REQEST_ID is not a setting. Did you mean DASHCAM_TRUST_REQUEST_ID?",
    ]


@pytest.mark.parametrize("bad", ["/(/", "/abc", "x", "/(a+)+b/"])
def test_one_bad_entry_costs_itself_alone(bad):
    """A service masks by the other ones: the price of a slip is not every secret of its own."""
    settings, faults = load_or_default(RecordSettings, {"DASHCAM_MASK": f"vin, {bad}, customer_no, personal-data"})

    assert settings.mask == OwnSecrets(frozenset({"vin", "customer_no"}), (), has_personal_data=True)
    assert [fault.rpartition(". ")[2] for fault in faults] == ["Its other entries are used."]


def test_a_user_without_a_home(monkeypatch):
    """A container's user that no file knows has a folder all the same."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])

    assert load(RecordSettings, {}).dir.name == f"dashcam-{os.getuid()}"
