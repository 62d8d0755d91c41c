"""The files of `logging/elk`: one source for people and for the package, and fields for all that is shipped."""

import hashlib
import tomllib
from pathlib import Path

import orjson
import pytest

from dashcam.destinations.elasticsearch.data import read_json
from dashcam.errors import DashcamError
from dashcam.event import Event
from dashcam.testing.sample import lines

ROOT = Path(__file__).parents[3]
ELK = ROOT / "logging" / "elk"
FILES = [str(path.relative_to(ELK)) for path in sorted(ELK.glob("*/*.json"))]


def test_a_build_without_the_files_says_so():
    """An image may be made without the folder; setting up is then for another one."""
    with pytest.raises(DashcamError, match="build from the whole project"):
        read_json("templates/none.json")


# What Kibana's waterfall, its services page and its log lists read of a document.
KIBANA_FIELDS = [
    "@timestamp", "agent.name", "error.message", "error.stack_trace", "error.type", "event.dataset", "event.duration",
    "event.outcome", "host.name", "http.request.id", "http.request.method", "http.response.status_code", "labels",
    "log.level", "log.logger", "message", "parent.id", "processor.event", "service.environment", "service.name",
    "service.node.name", "service.version", "span.action", "span.destination.service.resource", "span.duration.us",
    "span.id", "span.name", "span.subtype", "span.type", "timestamp.us", "trace.id", "transaction.duration.us",
    "transaction.id", "transaction.name", "transaction.result", "transaction.type", "url.full", "url.path",
]  # fmt: skip


def fields(mapping, prefix=""):
    for name, field in mapping["properties"].items():
        if "properties" in field:
            yield from fields(field, f"{prefix}{name}.")
        else:
            yield prefix + name


MAPPED = set(fields(read_json("templates/fields.json")["template"]["mappings"]))


@pytest.mark.parametrize("name", FILES)
def test_the_package_reads_the_very_files(name):
    """What a person changes in `logging/elk` is what is set up."""
    assert read_json(name) == orjson.loads((ELK / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "kept"), [("dashboards", ROOT / "dashboards" / "kibana"), ("elk", ROOT / "logging" / "elk")]
)
def test_an_installed_package_carries_them(name, kept):
    """Each file fits a pattern of the package's data, and the folder is the one at the root, not a copy."""
    carried = ROOT / "src" / "dashcam" / "destinations" / "elasticsearch" / name
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    fitting = {
        path for pattern in package_data["dashcam.destinations.elasticsearch"] for path in carried.parent.glob(pattern)
    }

    assert carried.resolve() == kept
    assert set(carried.rglob("*.json")) <= fitting


@pytest.mark.parametrize("field", KIBANA_FIELDS)
def test_kibana_finds_its_fields(field):
    """A field that is not mapped is not searched, and Kibana shows nothing of it."""
    assert field in MAPPED


def test_every_field_of_an_event_is_mapped():
    """Labels are one field, however many there are."""
    shipped = {name for line in lines() for name in names(Event.from_json(line.data).fields)}

    assert shipped - MAPPED == set()


def names(value, prefix=""):
    for name, inner in value.items():
        if isinstance(inner, dict) and name != "labels":
            yield from names(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_nothing_is_mapped_by_what_comes():
    """A caller's names never make fields: they are labels, held as one."""
    mapping = read_json("templates/fields.json")["template"]["mappings"]

    assert mapping["dynamic"] is False
    assert mapping["properties"]["labels"] == {"type": "flattened", "ignore_above": 8191}


@pytest.mark.parametrize("name", ["logs", "spans"])
def test_templates_win_over_those_that_come_with_elasticsearch(name):
    """Those have priorities up to 200; above 500 is kept for others' own."""
    assert read_json(f"templates/{name}.json")["priority"] > 500


def test_the_fields_tell_their_version():
    """Who changes the fields changes the version: streams that are there go on in a new index by it."""
    template = read_json("templates/fields.json")
    version = template["template"]["mappings"].pop("_meta")["dashcam"]["version"]

    digest = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()

    assert (version, digest[:8]) == (1, "fd48f8a0")
