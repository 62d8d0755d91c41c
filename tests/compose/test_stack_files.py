"""The files of logging/elk and deploy/compose that the containers mount or run."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

LOGGING = Path(__file__).parents[2] / "logging"
PIPELINE = (LOGGING / "elk" / "logstash" / "pipeline.conf").read_text()


@pytest.mark.parametrize("name", ["elasticsearch.yml", "kibana.yml", "logstash/logstash.yml"])
def test_configurations_are_yaml_without_secrets(name):
    """Passwords and keys come by the environment."""
    settings = YAML(typ="safe").load(LOGGING / "elk" / name)

    assert settings
    assert not [key for key in settings if re.search("password|encryptionKey|secret", key)]


def test_elasticsearch_asks_who_it_is():
    """Users and keys are on, whatever else is off."""
    settings = YAML(typ="safe").load(LOGGING / "elk" / "elasticsearch.yml")

    assert settings["xpack.security.enabled"] is True
    assert settings["discovery.type"] == "single-node"


def test_the_pipeline_of_logstash_is_balanced():
    """Three sections, every brace and bracket closed."""
    text = re.sub(r'"[^"]*"|/\^[^/]*\$/|#.*', "", PIPELINE)

    assert re.findall(r"^(\w+) \{", PIPELINE, re.MULTILINE) == ["input", "filter", "output"]
    for opening, closing in ("{}", "[]", "()"):
        assert text.count(opening) == text.count(closing)


def test_logstash_writes_where_fluentd_does():
    """The same streams, the same ids, create only, and no templates of its own."""
    for line in (
        '"traces-apm.dashcam-${DASHCAM_NAMESPACE:default}"',
        '"logs-dashcam-${DASHCAM_NAMESPACE:default}"',
        'document_id => "%{[event][id]}"',
        'action => "create"',
        "manage_template => false",
        "!~ /^[0-9A-Za-z_-]{8,128}$/",
    ):
        assert line in PIPELINE


KEYS = "ELASTICSEARCH_WRITER_KEY=writes\nELASTICSEARCH_READER_KEY=reads\n"
WRAPPER = (LOGGING.parent / "deploy" / "compose" / "dashcam").read_text()


def run_wrapper(tmp_path, *words, shown="ELASTICSEARCH_API_KEY", **environment):
    """What a variable is to the program that the containers' `dashcam` runs."""
    script = WRAPPER.replace("/keys/", f"{tmp_path}/keys/").replace("/run/secrets/", f"{tmp_path}/secrets/")
    script = script.replace('exec /app/bin/dashcam "$@"', f'printf %s "${{{shown}:-}}"')
    command = ["sh", "-c", script, "dashcam", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def keys(tmp_path):
    """What the set-up leaves."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "elasticsearch.env").write_text(KEYS)


@pytest.mark.parametrize(
    ("command", "given", "key"),
    [("ship", {}, "writes"), ("trace", {}, "reads"), ("search", {}, "reads"), ("setup", {}, "")]
    + [(command, {"ELASTICSEARCH_API_KEY": "own"}, "own") for command in ("ship", "trace")],
)
@pytest.mark.usefixtures("keys")
def test_the_shipper_s_container_takes_the_key_it_needs(tmp_path, command, given, key):
    """To write for the shipper, to read for all else, none to set up; one from the environment goes before both."""
    assert run_wrapper(tmp_path, command, **given) == key


def test_without_keys_the_shipper_s_container_just_runs(tmp_path):
    """As with any other backend."""
    assert run_wrapper(tmp_path, "ship") == ""


def test_secrets_become_settings(tmp_path):
    """Each file is the variable of its name, unless that is set."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "loggly_token").write_text("a $b 'c'")

    assert run_wrapper(tmp_path, "ship", shown="LOGGLY_TOKEN") == "a $b 'c'"
    assert run_wrapper(tmp_path, "ship", shown="LOGGLY_TOKEN", LOGGLY_TOKEN="other") == "other"


def test_the_set_up_comes_as_the_administrator(tmp_path):
    """Whose password becomes part of the address."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "elastic_password").write_text("secret")
    address = {"ELASTICSEARCH_URL": "http://elasticsearch:9200"}

    assert run_wrapper(tmp_path, "setup", shown="ELASTICSEARCH_URL", **address) == (
        "http://elastic:secret@elasticsearch:9200"
    )
