"""The saved objects as Kibana would check them: shape, references, panels, fields."""

import json
import re
from pathlib import Path

import pytest

from dashcam.destinations.elasticsearch.saved_objects import ENVELOPE, SHAPES, kibana_pack

from .vega import queries

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dashboards" / "kibana").glob("*.json"))
PACK = kibana_pack()
OBJECTS = {(each["type"], each["id"]): each for each in map(json.loads, PACK.splitlines())}
ALLOWED = {
    "index-pattern": {
        "title", "name", "timeFieldName", "fieldAttrs", "fieldFormatMap", "fields", "runtimeFieldMap", "sourceFilters",
        "typeMeta", "allowNoIndex",
    },
    "search": {
        "title", "description", "columns", "sort", "grid", "hideChart", "isTextBasedQuery", "timeRestore",
        "kibanaSavedObjectMeta",
    },
    "visualization": {"title", "description", "version", "uiStateJSON", "visState", "kibanaSavedObjectMeta"},
    "dashboard": {
        "title", "description", "version", "hits", "timeRestore", "timeFrom", "timeTo", "refreshInterval",
        "optionsJSON", "panelsJSON", "kibanaSavedObjectMeta",
    },
}  # fmt: skip


def of_type(kind):
    return [pytest.param(each, id=each["id"]) for (type_, _), each in OBJECTS.items() if type_ == kind]


every_object = pytest.mark.parametrize("packed", [pytest.param(each, id=each["id"]) for each in OBJECTS.values()])


def test_every_file_is_one_line_of_the_pack():
    """UTF-8, LF, no two of one id, no summary at the end."""
    assert len(OBJECTS) == len(PACK.splitlines()) == len(FILES) > 20
    assert PACK.endswith(b"}\n")
    assert b"\r" not in PACK


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_named_by_what_it_shows(file):
    """By its kind if it is no picture, and by its own id."""
    source = json.loads(file.read_text())
    kinds = {"index-pattern": "data-view-", "search": "search-", "dashboard": "dashboard-", "visualization": ""}

    assert f"dashcam-{file.stem.removeprefix(kinds[source['type']])}" == source["id"]
    assert file.stem.startswith(kinds[source["type"]])


@every_object
def test_the_envelope(packed):
    """Nothing but what an export has; stamped with the oldest shape that holds it."""
    assert set(packed) == {
        "type", "id", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion", "managed",
    }  # fmt: skip
    assert packed["coreMigrationVersion"] == ENVELOPE == "8.8.0"
    assert packed["typeMigrationVersion"] == SHAPES[packed["type"]] <= "8.9.0"


@every_object
def test_the_attributes(packed):
    """Those of the oldest shape; an unknown one would be refused."""
    assert set(packed["attributes"]) == ALLOWED[packed["type"]]
    assert packed["attributes"]["title"]


@every_object
def test_texts_that_hold_json(packed):
    """Where Kibana wants JSON in a string, it is one."""
    for name, value in packed["attributes"].items():
        if name.endswith("JSON") or name in {"visState", "fieldFormatMap", "fields", "typeMeta"}:
            assert isinstance(value, str)
            json.loads(value)
    assert "searchSourceJSON" not in packed["attributes"]
    if meta := packed["attributes"].get("kibanaSavedObjectMeta"):
        assert json.loads(meta["searchSourceJSON"])["query"]["language"] == "kuery"


@every_object
def test_references_close(packed):
    """Each name that is used is one reference, each reference is used, and what it means is in the pack."""
    used = re.findall(r'"(?:indexRefName|panelRefName)\\?":\s?\\?"([^"\\]+)', json.dumps(packed["attributes"]))
    names = [reference["name"].rpartition(":")[2] for reference in packed["references"]]

    assert sorted(used) == sorted(names)
    assert all((reference["type"], reference["id"]) in OBJECTS for reference in packed["references"])


@pytest.mark.parametrize("packed", of_type("dashboard"))
def test_panels_fill_the_grid(packed):
    """48 columns, no two in one place, each under its own number."""
    panels = json.loads(packed["attributes"]["panelsJSON"])
    taken = set()
    for panel, reference in zip(panels, packed["references"], strict=True):
        grid = panel["gridData"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert panel["panelIndex"] == grid["i"]
        assert reference["name"] == f"{grid['i']}:{panel['panelRefName']}"
        assert reference["type"] == panel["type"]
        assert max(x for x, _ in cells) < 48
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("kind", ["visualization", "search"])
def test_every_picture_and_search_is_of_use(kind):
    """On a dashboard, or a search that stands for itself."""
    shown = {reference["id"] for each in OBJECTS.values() for reference in each["references"]}

    for type_, id_ in OBJECTS:
        assert type_ != kind or id_ in shown or id_ in {"dashcam-slow-requests", "dashcam-aborted-requests"}


def known_fields():
    """Every field of the index templates, by its dotted name."""
    fields = json.loads((ROOT / "logging" / "elk" / "templates" / "fields.json").read_text())

    def walk(properties, prefix):
        for name, mapping in properties.items():
            yield f"{prefix}{name}", mapping.get("type")
            yield from walk(mapping.get("properties", {}), f"{prefix}{name}.")

    return dict(walk(fields["template"]["mappings"]["properties"], ""))


FIELDS = known_fields()


def named_in(value):
    """The fields that the JSON of a query or a search names."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"term", "terms", "range", "exists", "match"} and isinstance(item, dict):
                yield item.get("field") or next(name for name in item if name != "size")
            elif key in {"field", "date_histogram", "percentiles"} and isinstance(item, str):
                yield item
            elif key == "_source":
                yield from item
            yield from named_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from named_in(item)


@pytest.mark.parametrize("packed", of_type("visualization"))
def test_a_picture_asks_for_fields_that_are_there(packed):
    """Those of the index templates; `_source` may name a branch of them, and what is kept but not indexed."""
    spec = json.loads(json.loads(packed["attributes"]["visState"])["params"]["spec"])
    asked = {name for _, url in queries(spec) for name in named_in(url["body"])}

    assert asked
    assert {name for name in asked if not any(f"{field}.".startswith(f"{name}.") for field in FIELDS)} == set()


@pytest.mark.parametrize("packed", of_type("visualization"))
def test_a_picture_follows_the_dashboard(packed):
    """Its time range, its query and its filters, in every query of its own; and it asks only our streams."""
    spec = json.loads(json.loads(packed["attributes"]["visState"])["params"]["spec"])

    assert queries(spec)
    for _, url in queries(spec):
        conditions = url["body"]["query"]["bool"]
        for token in ("must", "filter", "must_not"):
            assert f"%dashboard_context-{token}_clause%" in conditions[token]
        assert {"range": {"@timestamp": {"%timefilter%": True}}} in conditions["must"]
        assert re.fullmatch(
            r"-?(logs-dashcam|traces-apm\.dashcam)-[*.a-z]+(,-?(logs|traces)-[a-z.]*-?[*.a-z-]+)*", url["index"]
        )


@pytest.mark.parametrize("packed", of_type("search"))
def test_a_search_names_fields_that_are_there(packed):
    """In its columns, its order, and its query."""
    attributes = packed["attributes"]
    kql = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
    named = [
        *attributes["columns"],
        *(field for field, _ in attributes["sort"]),
        *re.findall(r"([a-z@][a-z_.]+) ?[:<>]", kql),
    ]

    assert set(named) - set(FIELDS) <= {"event.original"}
    assert attributes["sort"][0][0] == "@timestamp"


@pytest.mark.parametrize("packed", of_type("index-pattern"))
def test_ids_can_be_clicked(packed):
    """A request ID and a trace id lead to the dashboard of that story, in any space and behind any base path."""
    formats = json.loads(packed["attributes"]["fieldFormatMap"])

    for field in ("http.request.id", "trace.id"):
        template = formats[field]["params"]["urlTemplate"]
        assert formats[field]["id"] == "url"
        assert template.startswith("../app/dashboards#/view/dashcam-request-story?")
        assert f'{field}:"{{{{value}}}}"' in template
    assert packed["attributes"]["timeFieldName"] == "@timestamp"
    assert FIELDS["@timestamp"] == "date_nanos"


ESQL = sorted((ROOT / "dashboards" / "esql").glob("*.esql"))


@pytest.mark.parametrize("file", ESQL, ids=lambda file: file.stem)
def test_a_query_in_esql_names_fields_that_are_there(file):
    """And only our streams; what it makes up itself is named with an equals sign."""
    text = re.sub(r'"[^"]*"', '""', file.read_text())
    source, _, rest = text.partition("\n")
    made = set(re.findall(r"(\w+) = [A-Z]", rest))
    named = set(re.findall(r"(?<![\w.])(@?[a-z][a-z_]*(?:\.[a-z_]+)+|@timestamp)(?![\w.(])", rest))

    assert re.fullmatch(r"FROM (traces-apm\.dashcam-\*)?(, )?(logs-dashcam-\*, -logs-dashcam-\*\.dead)?", source)
    assert named - made <= set(FIELDS)
    assert len(named) >= 3


def test_no_field_is_called_stream():
    """A text of that name would collide with Kibana's own `stream.name`."""
    assert not [name for name in FIELDS if name.split(".")[0] == "stream"]
