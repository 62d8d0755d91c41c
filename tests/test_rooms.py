"""Who may import whom, and what stays out of the way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dashcam"

# Floors from the ground up: a room imports from those it names, and from itself.
GROUND = {"errors", "event", "settings", "version"}
ROOMS = {
    "errors": set(),
    "version": set(),
    "event": set(),
    "settings": {"errors"},
    "values": GROUND,
    "local_file": GROUND | {"values"},
    "elastic": GROUND,
    "lucene": set(),
    "loggly_stand_in": {"lucene"},
    "spool": GROUND,
    "record": GROUND | {"spool"},
    "ship": GROUND | {"spool", "elastic", "local_file"},
    "find": GROUND | {"values", "elastic", "local_file", "lucene"},
    "show": GROUND | {"find"},
    "setup": GROUND | {"elastic"},
    # Doors: they join the wings.
    "routes": GROUND | {"find", "ship"},
    "doctor": GROUND | {"elastic", "find", "routes", "ship"},
    "demo": GROUND,
    "testing": GROUND | {"find", "loggly_stand_in", "record", "ship", "show", "spool"},
    "cli": GROUND,
    "commands": set.union(GROUND, {"cli", "demo", "doctor", "elastic", "find", "loggly_stand_in", "record"})
    | {"routes", "setup", "ship", "show", "spool", "EcsFormatter"},
}

EDGES = {
    "opentelemetry": {"record"},
    "flask": {"record", "show"},
    "luqum": {"lucene"},
    "sqlite3": {"ship", "find", "local_file"},
}


def modules():
    return [(path, path.relative_to(PACKAGE).with_suffix("").parts) for path in sorted(PACKAGE.rglob("*.py"))]


def imports_of(path):
    """The dotted names a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ([f"dashcam.{name.name}" for name in node.names] if node.module == "dashcam" else [node.module])
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    """The table above is the whole truth."""
    used = {
        name.split(".")[1]
        for path, parts in modules()
        if parts[0] == room
        for name in imports_of(path)
        if name.startswith("dashcam.")
    }

    assert used - {room} <= ROOMS[room]


def test_every_room_is_in_the_table():
    """A new room says what it may import."""
    assert {parts[0] for _, parts in modules()} - {"__init__"} == ROOMS.keys()


@pytest.mark.parametrize("kind", ["ship/backends", "find/stores"])
def test_plugs_do_not_know_each_other(kind):
    """A backend imports no other backend, a store no other store."""
    prefix = "dashcam." + kind.replace("/", ".")
    known = {
        path.name: [name for name in imports_of(path) if name.startswith(prefix)]
        for path in (PACKAGE / kind).iterdir()
        if path.suffix == ".py"
    }

    assert {name: names for name, names in known.items() if names} == {}


@pytest.mark.parametrize("library", EDGES)
def test_libraries_stay_at_the_edge(library):
    """Only these rooms know a library."""
    users = {parts[0] for path, parts in modules() if any(name.split(".")[0] == library for name in imports_of(path))}

    assert users <= EDGES[library]


@pytest.mark.parametrize("service", ["cars", "parts"])
def test_services_use_the_public_names(service):
    """A service sees nothing of dashcam but the package itself."""
    files = (ROOT / "services" / service / "src").rglob("*.py")
    inner = {name for path in files for name in imports_of(path) if name.startswith("dashcam.")}

    assert inner <= {"dashcam.add", "dashcam.get_logger", "dashcam.init", "dashcam.init_app", "dashcam.request_id"}


@pytest.mark.parametrize("folder", ["logging", "dashboards"])
def test_data_folders_hold_no_code(folder):
    """With a module in it, `logging` would hide the standard library's."""
    assert list((ROOT / folder).rglob("*.py")) == []


def test_logging_is_the_standard_librarys():
    """Also with the repository as the working folder."""
    done = subprocess.run(
        [sys.executable, "-c", "import logging; print(logging.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert not done.stdout.startswith(str(ROOT / "logging"))


@pytest.mark.parametrize("heavy", ["flask", "opentelemetry", "requests", "luqum"])
def test_a_look_up_starts_light(heavy, tmp_path):
    """`dashcam trace` over the local store loads none of these."""
    command = "import sys; from dashcam.cli import main; main(['trace', 'no-such-id']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command],
        env={"DASHCAM_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert heavy not in {name.split(".")[0] for name in done.stdout.split()}
