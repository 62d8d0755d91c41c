"""The files of logging/fluentd as text: nothing dangling, nothing that was measured to lose events."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "logging" / "fluentd"
FILES = sorted(FOLDER.rglob("*.conf"))
TEXTS = {file.relative_to(FOLDER).as_posix(): file.read_text() for file in FILES}
ALL = "\n".join(TEXTS.values())
VARIABLE = re.compile(r"ENV(?:\.fetch\(|\[)'([A-Z_]+)'")


def settings(name):
    """The `key value` lines of a file, sections aside."""
    found = re.findall(r"^\s*([a-z_@]\S*)\s+(.+)$", TEXTS[name], re.MULTILINE)
    return {key: value for key, value in found if key != "@include"}


@pytest.mark.parametrize("name", TEXTS)
def test_every_section_ends(name):
    """Opened and closed in order, within its file."""
    open_sections = []
    for closing, section in re.findall(r"^\s*<(/?)([a-z]+)[^>]*>\s*$", TEXTS[name], re.MULTILINE):
        assert not closing or open_sections.pop() == section
        open_sections += [] if closing else [section]
    assert open_sections == []


def test_every_label_that_is_used_is_there():
    """A label nobody defines stops fluentd at its start."""
    used = set(re.findall(r"^\s*(?:@|timeout_)label (@\w+)", ALL, re.MULTILINE))
    defined = set(re.findall(r"^<label (@\w+)>", ALL, re.MULTILINE))

    assert used <= defined
    assert defined - used == {"@ERROR", "@FLUENT_LOG"}


@pytest.mark.parametrize(
    ("pattern", "names"), [("store", ["elasticsearch", "opensearch"]), ("transport", ["tcp", "tls"])]
)
def test_what_a_variable_includes_is_there(pattern, names):
    """Each choice is a file, and every other include names one."""
    includes = re.findall(r'^\s*@include "?([^"\n]+)', ALL, re.MULTILINE)

    assert any(include.startswith(f"{pattern}/#{{ENV[") for include in includes)
    assert all(f"{pattern}/{name}.conf" in TEXTS for name in names)
    assert {include for include in includes if "#{" not in include} == {"bulk.conf"}


def test_a_fraction_has_no_unit():
    """fluentd takes `0.2s` for 2 s."""
    assert not re.findall(r"\s[0-9]*\.[0-9]+s\b", ALL)


def test_ruby_in_a_plain_value_holds_no_comment():
    """Without quotes around the value, everything after a blank and `#` is cut off."""
    assert not re.findall(r"^\s*\S+ \$\{.*\s#.*$", ALL, re.MULTILINE)


def test_both_engines_get_the_same():
    """What differs is the plugin's own: its name, its version, its way to log in."""
    differences = {
        "elasticsearch": {
            "@type",
            "verify_es_version_at_startup",
            "default_elasticsearch_version",
            "log_es_400_reason",
        },
        "opensearch": {"@type", "verify_os_version_at_startup", "default_opensearch_version", "log_os_400_reason"},
    }
    elasticsearch, opensearch = (settings(f"store/{name}.conf") for name in differences)

    assert set(elasticsearch) - set(opensearch) == differences["elasticsearch"] - {"@type"} | {"api_key"}
    assert set(opensearch) - set(elasticsearch) == differences["opensearch"] - {"@type"} | {"user", "password"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id_key", "$.event.id"),
        ("write_operation", "create"),
        ("emit_error_for_missing_id", "true"),
        ("unrecoverable_error_types", '["out_of_memory_error"]'),
        ("overflow_action", "block"),
        ("retry_forever", "true"),
        ("flush_at_shutdown", "false"),
        ("flush_interval", "0.2"),
        ("chunk_limit_size", "4m"),
    ],
)
def test_nothing_is_lost_or_doubled_on_the_way(key, value):
    """Each of these was measured: without it events vanish, come twice, or stand still."""
    assert settings("store/bulk.conf")[key] == value


@pytest.mark.parametrize(
    "name", ["chunk_size_limit", "remove_keys", "bulk_message_request_threshold", "elasticsearch_data_stream"]
)
def test_what_was_seen_to_lose_events_is_absent(name):
    """Measured, too."""
    assert name not in ALL


def test_the_chunk_of_a_killed_run_is_never_appended_to():
    """Every input gives its tags a prefix of the run, and every buffer of events is cut by tag."""
    forward = TEXTS["fluent.conf"].count("@type forward")

    assert TEXTS["fluent.conf"].count('add_tag_prefix "run#{') == forward == 2
    assert "<buffer tag>" in TEXTS["store/bulk.conf"]


def test_the_image_holds_what_the_configuration_needs():
    """Pinned, both plugins, every folder of files; its ports are the defaults of the configuration."""
    image = (FOLDER / "Dockerfile").read_text()

    assert re.search(r"^FROM fluent/fluentd:v\d+\.\d+\.\d+-debian-\d+\.\d+$", image, re.MULTILINE)
    assert re.findall(r"(fluent-plugin-\w+):(\d+\.\d+\.\d+)", image) == [
        ("fluent-plugin-elasticsearch", "6.0.0"),
        ("fluent-plugin-opensearch", "1.1.6"),
        ("fluent-plugin-concat", "2.6.2"),
    ]
    assert set(re.findall(r"^COPY --chown=10001:10001 (\S+)", image, re.MULTILINE)) == {
        name.split("/")[0] for name in TEXTS
    }
    ports = re.findall(r"_PORT'\] \|\| (\d+)", ALL)
    assert sorted(re.search(r"^EXPOSE (.+)$", image, re.MULTILINE)[1].split()) == sorted(ports)
    assert image.rindex("USER 10001:10001") > image.rindex("USER root")


def test_every_variable_is_documented():
    """In docs/elk.md, by its name."""
    documented = (FOLDER.parents[1] / "docs" / "elk.md").read_text()

    assert [name for name in sorted(set(VARIABLE.findall(ALL))) if f"`{name}`" not in documented] == []
