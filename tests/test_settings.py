"""What the environment may say."""

import platform
from pathlib import Path

import pytest

from dashcam.errors import SettingsError
from dashcam.settings import Secret, Settings, in_force, service_identity


def test_without_a_word(monkeypatch):
    """Every setting has its default; the folder is that of the user's state."""
    monkeypatch.setenv("XDG_STATE_HOME", "/state")

    settings = Settings.load({})

    assert (settings.routes, settings.level, settings.trust) == (("local",), "INFO", "always")
    assert settings.dir == Path("/state/dashcam")
    assert (settings.spool_limit, settings.sync_interval_s, settings.retention_days) == (512_000_000, 1.0, 14)
    assert settings.loggly_token == ""
    assert settings.fluentd_ca is None


VALID = [
    ("LOG_BACKEND", "loggly", "routes", ("loggly",)),
    ("LOG_BACKEND", " loggly , elk,loggly", "routes", ("loggly", "elk")),
    ("LOG_BACKEND", "my-own_1", "routes", ("my-own_1",)),
    ("LOG_LEVEL", "debug", "level", "DEBUG"),
    ("DASHCAM_SPOOL_LIMIT", "1GiB", "spool_limit", 1 << 30),
    ("DASHCAM_SPOOL_LIMIT", "7 mb", "spool_limit", 7_000_000),
    ("DASHCAM_SPOOL_LIMIT", "12345678", "spool_limit", 12_345_678),
    ("DASHCAM_SYNC_INTERVAL", "0.25", "sync_interval_s", 0.25),
    ("DASHCAM_RETENTION", "30d", "retention_days", 30),
    ("DASHCAM_TRUST_REQUEST_ID", "never", "trust", "never"),
    ("DASHCAM_NAMESPACE", "my_place.1", "namespace", "my_place.1"),
    ("LOGGLY_TAGS", "a, b.c ,,", "loggly_tags", ("a", "b.c")),
    ("LOGGLY_GZIP", "ON", "loggly_gzip", True),
    ("LOGGLY_URL", "https://logs.example.org/", "loggly_url", "https://logs.example.org"),
    ("FLUENTD_URL", "forward://a:1,forward+tls://u:p@b:2", "fluentd_urls", ("forward://a:1", "forward+tls://u:p@b:2")),
    ("FLUENTD_CA", __file__, "fluentd_ca", Path(__file__)),
    ("LOG_LEVEL", "  ", "level", "INFO"),
]


@pytest.mark.parametrize(("variable", "text", "field", "expected"), VALID)
def test_what_can_be_used(variable, text, field, expected):
    """Read as it was meant; blanks alone count as nothing."""
    assert getattr(Settings.load({variable: text}), field) == expected


INVALID = [
    ("LOG_BACKEND", "Loggly", "a route"),
    ("LOG_BACKEND", "loggly,,elk", "a route"),
    ("LOG_BACKEND", "../loggly", "a route"),
    ("LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("DASHCAM_SPOOL_LIMIT", "much", "a size such as"),
    ("DASHCAM_SPOOL_LIMIT", "-1", "a size such as"),
    ("DASHCAM_SPOOL_LIMIT", "1.5GB", "a size such as"),
    ("DASHCAM_SPOOL_LIMIT", "1TB", "a size such as"),
    ("DASHCAM_SYNC_INTERVAL", "0", "seconds above 0"),
    ("DASHCAM_SYNC_INTERVAL", "nan", "seconds above 0"),
    ("DASHCAM_SYNC_INTERVAL", "1e3", "seconds above 0"),
    ("DASHCAM_RETENTION", "14", "days, such as 14d"),
    ("DASHCAM_RETENTION", "0d", "days, such as 14d"),
    ("DASHCAM_TRUST_REQUEST_ID", "sometimes", "always or never"),
    ("DASHCAM_NAMESPACE", "Mine-1", "small letters"),
    ("DASHCAM_LOCAL_LIMIT", "1MB", "at least 32MB"),
    ("LOGGLY_TAGS", "-a", "tags of letters"),
    ("LOGGLY_GZIP", "yes", "on or off"),
    ("LOGGLY_URL", "logs.example.org", "http://host:port or https://host:port"),
    ("LOGGLY_URL", "https://host:99999", "http://host:port"),
    ("FLUENTD_URL", "http://a:1", "forward://host:port"),
    ("FLUENTD_CA", "/no/such/file", "the path of a file"),
    ("DASHCAM_SPOL_LIMIT", "1GB", "is not a setting. Known: "),
]


@pytest.mark.parametrize(("variable", "text", "expected"), INVALID)
def test_what_cannot(variable, text, expected):
    """The fault names the variable and says what is allowed."""
    with pytest.raises(SettingsError, match=expected) as raised:
        Settings.load({variable: text})

    assert str(raised.value).startswith(variable)


def test_all_faults_at_once():
    """Whoever sets up a service sees them in one go, a line each."""
    with pytest.raises(SettingsError) as raised:
        Settings.load({"LOG_LEVEL": "loud", "DASHCAM_RETENTION": "ever", "DASHCAM_COLOUR": "red", "PATH": "/bin"})

    lines = str(raised.value).splitlines()
    assert sorted(line.partition("=")[0].partition(" ")[0] for line in lines) == [
        "DASHCAM_COLOUR",
        "DASHCAM_RETENTION",
        "LOG_LEVEL",
    ]


def test_a_fault_shows_no_secret():
    """Neither the user of an address, nor what is a secret by itself."""
    with pytest.raises(SettingsError) as raised:
        Settings.load({"ELASTICSEARCH_URL": "ftp://cars:hunter2@db"})

    assert "hunter2" not in str(raised.value)
    assert "ftp://***@db" in str(raised.value)


def test_settings_show_no_secret():
    """Printed whole, as a careless log line would."""
    settings = Settings.load({"LOGGLY_TOKEN": "hunter2", "FLUENTD_SHARED_KEY": "hunter2"})

    assert "hunter2" not in repr(settings)
    assert settings.loggly_token == "hunter2"
    assert (repr(Secret("hunter2")), repr(Secret())) == ("'***'", "''")


def test_what_is_in_force(monkeypatch):
    """Each variable with its text, secrets masked."""
    monkeypatch.setenv("LOGGLY_TOKEN", "hunter2")
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://cars:hunter2@db:9200")
    monkeypatch.setenv("LOG_LEVEL", "WARNING")

    texts = in_force()

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
