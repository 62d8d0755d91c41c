"""The files of logging/elk and logging/shipper that the containers mount or run."""

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


@pytest.mark.parametrize(
    ("command", "given", "key"),
    [("ship", None, "writes"), ("trace", None, "reads"), ("search", None, "reads"), ("ship", "own", "own")],
)
def test_the_shipper_s_container_takes_the_key_it_needs(tmp_path, command, given, key):
    """To write for the shipper, to read for all else; one from the environment goes before both."""
    (tmp_path / "elasticsearch.env").write_text(KEYS)
    script = (LOGGING / "shipper" / "dashcam").read_text().replace("/keys/", f"{tmp_path}/")
    script = script.replace('exec /app/bin/dashcam "$@"', 'echo "$ELASTICSEARCH_API_KEY" "$@"')
    environment = {**os.environ, **({"ELASTICSEARCH_API_KEY": given} if given else {})}

    ran = subprocess.run(
        ["sh", "-c", script, "dashcam", command], env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout == f"{key} {command}\n"


def test_without_keys_the_shipper_s_container_just_runs(tmp_path):
    """As with any other backend."""
    script = (LOGGING / "shipper" / "dashcam").read_text().replace("/keys/", f"{tmp_path}/")
    script = script.replace('exec /app/bin/dashcam "$@"', 'echo "$ELASTICSEARCH_API_KEY" "$@"')

    ran = subprocess.run(["sh", "-c", script, "dashcam", "ship"], capture_output=True, text=True, check=True)

    assert ran.stdout == " ship\n"
