"""Kibana's saved objects, kept one a file in `dashboards/kibana`, as the one text that Kibana imports.

Source: Kibana, "Import saved objects"; the shapes of its saved objects `index-pattern`, `search`, `visualization` and
`dashboard`. In the files everything is JSON; Kibana wants some of it as JSON in strings.
"""

from importlib import resources
from typing import Any

import orjson

# The oldest versions that have our fields: every Kibana from 8.8 on imports them, and migrates them to its own.
SHAPES = {"index-pattern": "8.0.0", "search": "8.0.0", "visualization": "8.5.0", "dashboard": "8.9.0"}
ENVELOPE = "8.8.0"

_TEXTS = {
    "index-pattern": ("fieldAttrs", "fieldFormatMap", "fields", "runtimeFieldMap", "sourceFilters", "typeMeta"),
    "search": (),
    "visualization": ("uiStateJSON", "visState"),
    "dashboard": ("optionsJSON", "panelsJSON"),
}


def kibana_pack() -> bytes:
    """All objects as NDJSON, those that are referred to first."""
    files = list(resources.files(__package__).joinpath("dashboards").iterdir())
    objects = [orjson.loads(file.read_bytes()) for file in files if file.name.endswith(".json")]
    objects.sort(key=lambda each: (list(SHAPES).index(each["type"]), each["id"]))
    return b"".join(orjson.dumps(_packed(each)) + b"\n" for each in objects)


def _packed(source: dict[str, Any]) -> dict[str, Any]:
    """One object as Kibana exports it."""
    kind, attributes = source["type"], dict(source["attributes"])
    if kind == "visualization":
        spec = orjson.dumps(attributes["visState"]["params"]["spec"], option=orjson.OPT_INDENT_2).decode()
        attributes["visState"] = {**attributes["visState"], "params": {"spec": spec}}
    if "kibanaSavedObjectMeta" in attributes:
        meta = attributes["kibanaSavedObjectMeta"]
        attributes["kibanaSavedObjectMeta"] = {"searchSourceJSON": _text(meta["searchSourceJSON"])}
    attributes.update({name: _text(attributes[name]) for name in _TEXTS[kind]})
    stamps = {"coreMigrationVersion": ENVELOPE, "typeMigrationVersion": SHAPES[kind], "managed": False}
    return {**source, "attributes": attributes, **stamps}


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
