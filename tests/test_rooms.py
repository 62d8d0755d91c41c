"""The rooms, their floors, and what stays out of the way."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dashcam"

# Each room with exactly the rooms that it imports. A room imports from floors below its own, so there is no circle.
FLOORS = [
    {"errors": set(), "forks": set(), "machine": set(), "patterns": set(), "python_json": set(), "version": set()},
    {"codec": {"python_json"}},
    {"event": {"codec"}, "extras": {"errors"}, "settings": {"errors", "patterns"}},
    {"spool": {"codec", "event", "forks", "machine"}, "statement": {"_checksums", "event"}},
    {
        "record": {"codec", "event", "extras", "forks", "patterns", "settings", "spool", "version"},
        "ship": {"errors", "event", "machine", "settings", "spool", "statement"},
        "find": {"errors", "event", "settings", "statement"},
    },
    {"destinations": {"errors", "event", "find", "machine", "settings", "ship", "version"}},
    {"show": {"errors", "event", "find"}},
    {
        "mcp": {"errors", "event", "find", "show"},
        "watch": {"errors", "event", "find", "record", "ship", "show", "spool"},
    },
    {"testing": {"errors", "event", "find", "record", "settings", "ship", "show", "spool"}},
    {
        "cli": {
            *(
                "EcsFormatter",
                "destinations",
                "errors",
                "event",
                "extras",
                "find",
                "mcp",
                "record",
                "settings",
                "ship",
                "show",
                "spool",
            ),
            *("testing", "version", "watch"),
        }
    },
    {"__main__": {"cli"}},
]
ROOMS = {room: imports for floor in FLOORS for room, imports in floor.items()}

# The rooms within a room, in the same way; imports for types alone count, too. None is of more than a dozen files.
INNER_FLOORS = {
    "record": [
        {"_speedups": set(), "_words": set(), "brought": set(), "otel_variables": set()},
        {"masking": {"_words"}},
        {"values": {"_speedups", "masking"}},
        {"context": {"values"}},
        {"logs": {"_speedups", "brought", "context", "masking", "values"}},
        {"spans": {"context", "logs", "masking", "values"}},
        {
            "servers": {"context", "logs", "spans", "values"},
            "clients": {"context", "logs", "spans", "values"},
        },
        {"setup": {"clients", "context", "logs", "masking", "otel_variables", "servers", "spans", "values"}},
        {"jobs": {"context", "logs", "setup", "spans", "values"}},
    ],
    "ship": [
        {
            "batch": set(),
            "listing": set(),
            "own_log": set(),
            "selection": set(),
            "signals": set(),
        },
        {
            "state": {"listing"},
        },
        {
            "clips": {"listing", "state"},
            "delivery": {"batch", "state"},
            "inspection": {"listing", "selection", "state"},
            "upkeep": {"listing", "state"},
        },
        {
            "reading": {"batch", "clips", "listing", "selection", "state"},
        },
        {
            "route": {"batch", "clips", "delivery", "reading", "state"},
        },
        {
            "shipper": {"batch", "clips", "delivery", "inspection", "route", "signals", "state", "upkeep"},
        },
    ],
    "destinations/local": [
        {
            "_terms": set(),
            "options": set(),
        },
        {
            "index": {"_terms"},
        },
        {
            "blocks": {"index", "options"},
        },
        {
            "backend": {"blocks", "options"},
            "search": {"blocks", "index", "options"},
        },
        {
            "store_repair": {"backend", "blocks", "options"},
        },
    ],
}
MAX_FILES = 12  # of an inner room
PUBLIC = {"add", "get_logger", "init", "init_app", "request_id"}
SERVICES = {"cars": {"chassis", *PUBLIC}, "parts": {"chassis", *PUBLIC}, "chassis": {*PUBLIC}, "demo": set()}

# What `machine` has for these rooms, so that the simulation can put a machine of its own there.
MACHINE = {"random", "secrets", "threading", "signal", "time", "ThreadPoolExecutor", "wait"}
BESIDE_MACHINE = {  # names alone: of signals, and of a date from a number
    ("spool/line.py", "time"),
    ("ship/signals.py", "signal"),
}
WRITES = re.compile(r"\.write_(bytes|text)\(|\bfile\.write\(|\.open\(\"w")

CORE = ("record", "spool", "ship", "find", "show")
VENDORS = re.compile(r"loggly|elastic|\bfluent|kibana|opensearch", re.IGNORECASE)

EDGES = {
    "opentelemetry": {"record"},
    "flask": {"record", "show"},
    "sqlite3": {"destinations"},
}


def modules():
    return [(path, path.relative_to(PACKAGE).with_suffix("").parts) for path in sorted(PACKAGE.rglob("*.py"))]


@cache
def imports_of(path):
    """The dotted names a file imports, wherever in it, those that a string names too."""
    return tuple(_imports(path))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ([f"dashcam.{name.name}" for name in node.names] if node.module == "dashcam" else [node.module])
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "late")):
            text = "".join(
                part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
            yield text


def rooms_used(room):
    """The rooms of the package that a room imports."""
    names = [name for path, parts in modules() if parts[0] == room for name in imports_of(path)]
    return {name.split(".")[1] for name in names if name.startswith("dashcam.")} - {room}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_table_says(room):
    """No more, and no less: a permission that nobody uses fails too."""
    assert rooms_used(room) == ROOMS[room]


def test_every_room_is_in_the_table():
    """A new room says what it imports."""
    assert {parts[0] for _, parts in modules()} - {"__init__"} == ROOMS.keys()


def _inner_rooms_used(outer):
    """The inner rooms of a room, each with those of them that it imports."""
    used, package = {}, f"dashcam.{outer}".replace("/", ".")
    for path in sorted((PACKAGE / outer).rglob("*.py")):
        room = path.relative_to(PACKAGE / outer).with_suffix("").parts[0]
        if room != "__init__":
            names = [name.removeprefix(f"{package}.") for name in _whole_names(path, package) if package in name]
            inner = {name.split(".")[0] for name in names if not name.startswith("dashcam")}
            used.setdefault(room, set()).update(inner - {room, "{"})
    return used


def _whole_names(path, package):
    """The dotted names that a file imports; `from package import room` names the room."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (f"{package}.{name.name}" for name in node.names)
    yield from imports_of(path)


@pytest.mark.parametrize("outer", INNER_FLOORS)
def test_an_inner_room_imports_what_the_table_says(outer):
    """No more, and no less; those without an import are compiled, or stand alone."""
    table = {room: imports for floor in INNER_FLOORS[outer] for room, imports in floor.items()}

    assert {room: set() for room in table} | _inner_rooms_used(outer) == table


@pytest.mark.parametrize("floors", [FLOORS, *INNER_FLOORS.values()])
def test_a_room_imports_from_floors_below_its_own(floors):
    """So there is no circle."""
    below = set()
    for floor in floors:
        assert all(imports <= below | {"_checksums", "EcsFormatter"} for imports in floor.values())
        below |= floor.keys()


def test_the_tour_draws_the_rooms_as_they_are():
    """One floor a row, the highest first; the lowest floor has no drawing."""
    block = (ROOT / "docs" / "tour.md").read_text().partition("```\njobs ")[2].partition("```")[0]
    floors = [set(re.findall(r"(?:^|  )([a-z]+)  ", row)) for row in f"jobs {block}".splitlines()]

    assert floors == [set(floor) for floor in reversed(INNER_FLOORS["record"][1:])]


@pytest.mark.parametrize("outer", INNER_FLOORS)
def test_an_inner_room_has_a_dozen_files_at_most(outer):
    """More of them want a wall between them."""
    counts = {folder.name: len(list(folder.glob("*.py"))) - 1 for folder in (PACKAGE / outer).iterdir()}

    assert {name for name, count in counts.items() if count > MAX_FILES} == set()


def test_a_plug_does_not_know_another():
    """A destination imports no other, but for `elasticsearch` under `fluentd`, where `elk` finds its events."""
    used = set()
    for path in (PACKAGE / "destinations").rglob("*/*.py"):
        own = path.relative_to(PACKAGE / "destinations").parts[0]
        for name in imports_of(path):
            parts = name.split(".")
            if parts[:2] == ["dashcam", "destinations"] and len(parts) > 2 and parts[2] != own:
                used.add((own, parts[2]))

    assert {pair for pair in used if (PACKAGE / "destinations" / pair[1]).is_dir()} == {("fluentd", "elasticsearch")}


@pytest.mark.parametrize("library", EDGES)
def test_libraries_stay_at_the_edge(library):
    """Exactly these rooms know a library."""
    users = {parts[0] for path, parts in modules() if any(name.split(".")[0] == library for name in imports_of(path))}

    assert users == EDGES[library]


@pytest.mark.parametrize("room", CORE)
def test_a_core_room_names_no_vendor(room):
    """What is one vendor's stands in that vendor's folder; Elastic Common Schema is the event's own schema."""
    named = [
        f"{path.relative_to(PACKAGE)}:{number} {line.strip()}"
        for path in sorted((PACKAGE / room).rglob("*"))
        if path.suffix in {".py", ".c", ".html", ".js", ".css"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if VENDORS.search(line.replace("Elastic Common Schema", ""))
    ]

    assert named == []


@pytest.mark.parametrize("room", ["spool", "ship"])
def test_the_machine_is_the_one_seam(room):
    """Clocks, chance, threads and signals come from `machine`; files are changed by functions of `os` alone."""
    used, writing = set(), []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        text = path.read_text()
        writing += [f"{path.name}: {line}" for line in text.splitlines() if WRITES.search(line)]
        for node in ast.walk(ast.parse(text)):
            names = [name.name for name in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            used |= {(str(path.relative_to(PACKAGE)), name) for name in names if name in MACHINE}

    assert used == {pair for pair in BESIDE_MACHINE if pair[0].startswith(room)}
    assert writing == []


@pytest.mark.parametrize("service", SERVICES)
def test_services_use_the_public_names(service):
    """A service sees nothing of dashcam but the package itself, and of the other service nothing at all."""
    files = (ROOT / "services" / service / "src").rglob("*.py")
    names = {name for path in files for name in imports_of(path)}
    ours = {name.removeprefix("dashcam.") for name in names if name.startswith("dashcam.")}
    beside = {name.split(".")[0] for name in names} & (SERVICES.keys() - {service})

    assert ours | beside <= SERVICES[service]


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


@pytest.fixture(scope="module")
def look_up(tmp_path_factory):
    """A story that was recorded and shipped, drawn by `dashcam trace`: the modules that this loaded."""
    folder = tmp_path_factory.mktemp("look-up")
    record = "import dashcam; dashcam.init('cars'); dashcam.get_logger('cars').info('car created', car_id=7)"
    ship = "from dashcam.cli import main; main(['ship', '--drain'])"
    trace = (
        "import sys; from dashcam.cli import main; main(['trace', 'car_id=7']); print(*sys.modules, file=sys.stderr)"
    )
    for program in (record, ship, trace):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"DASHCAM_DIR": str(folder), "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "car created  car_id=7" in done.stdout
    return {name.split(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("heavy", ["flask", "opentelemetry", "requests"])
def test_a_look_up_starts_light(heavy, look_up):
    """`dashcam trace` finds and draws a story of the local store without these."""
    assert "sqlite3" in look_up
    assert heavy not in look_up
