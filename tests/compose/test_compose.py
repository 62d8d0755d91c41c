"""The compose files as far as they can be held to something without a Docker engine."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from dashcam.destinations.registry import every_setting

ROOT = Path(__file__).parents[2]
BASE, ELK = ROOT / "docker-compose.yml", ROOT / "docker-compose.elk.yml"
TEXT = BASE.read_text() + ELK.read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS = {setting.metadata["variable"] for setting in every_setting()}
ONE_SHOT = {"setup", "dashboards", "prepare-cars", "prepare-parts"}
OPTIONAL = {"logstash", "fake-loggly"}
ELASTIC = {"elasticsearch", "kibana", "logstash"}


def load(path):
    return json.loads(_read(path))  # each time another one, which may be changed


@cache  # a quarter of a second in each worker
def _read(path):
    return json.dumps(YAML(typ="safe").load(path))


def merged():
    """Both files laid over each other as compose does: lists are appended, maps merged."""
    services, elk = load(BASE)["services"], load(ELK)["services"]
    for name, over in elk.items():
        for key, value in over.items():
            below = services.setdefault(name, {}).get(key)
            if isinstance(below, list):
                services[name][key] = below + value
            elif isinstance(below, dict):
                services[name][key] = {**below, **value}
            else:
                services[name][key] = value
    return services


SERVICES = merged()
VOLUMES = load(BASE)["volumes"] | load(ELK)["volumes"]
SECRETS = load(BASE)["secrets"] | load(ELK)["secrets"]
every_service = pytest.mark.parametrize("name", SERVICES)


def dockerfile(service):
    """The instructions that make a service's image, those of the stages it stands on first; none where it is pulled."""
    if "build" not in service:
        return ""
    build = {"dockerfile": "Dockerfile", "target": None, **service["build"]}
    text = (ROOT / build["context"] / build["dockerfile"]).read_text().replace("\\\n", " ")
    stages = re.findall(r"^(FROM (\S+)(?: AS (\S+))?\n.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    by_name = {name: (base, body) for body, base, name in stages}
    wanted, found = build["target"] or stages[-1][2], ""
    while wanted in by_name:
        wanted, body = by_name[wanted]
        found = body + found
    return found


def published(service):
    """Host address, host port, container port of each."""
    return [re.sub(r"\$\{\w+:-(\d+)\}", r"\1", port).split(":") for port in service.get("ports", [])]


@pytest.mark.parametrize("path", [BASE, ELK], ids=lambda path: path.name)
def test_the_schema_of_compose(path):
    """The one that the specification publishes."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stdout


def test_compose_itself_reads_them(tmp_path):
    """Both alone and together, with the variables that make writes."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("needs docker compose: docs.docker.com/compose/install")
    environment = make_env(tmp_path)
    for files in ([BASE], [BASE, ELK]):
        command = [
            "docker",
            "compose",
            "--env-file",
            environment,
            *(f"--file={path}" for path in files),
            "config",
            "-q",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr


def make_env(folder):
    """What `make .env` writes from our example."""
    for name in ("Makefile", ".env.example"):
        shutil.copy(ROOT / name, folder)
    subprocess.run(["make", ".env"], cwd=folder, check=True, capture_output=True)
    return folder / ".env"


def test_passwords_are_made_up_once(tmp_path):
    """For nobody else to read, all different, and kept by the next make."""
    made = make_env(tmp_path)
    first = made.read_text()
    secrets = re.findall(r"^\w+(?:_PASSWORD|_KEY)=([0-9a-f]{48})$", first, re.MULTILINE)

    make_env(tmp_path)

    assert len(set(secrets)) == len(secrets) == 9
    assert made.stat().st_mode & 0o077 == 0
    assert made.read_text() == first


def test_variables_and_their_example_agree():
    """Each that is used is in .env.example, and the other way round; a secret is used as a file."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    files = {name.upper() for name in SECRETS}
    told = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))

    assert used | files == told


def test_it_can_be_ended_without_an_env():
    """No variable must be set, so `make down` works in a checkout that has no .env any more."""
    assert ":?" not in TEXT


def test_defaults_are_told_once():
    """What the example says is what a missing variable means."""
    for name, default in re.findall(r"(?<!\$)\$\{(\w+):-([^}]*)\}", TEXT):
        told = re.search(rf"^{name}=(.*)$", EXAMPLE, re.MULTILINE)[1]
        assert told in {default, ""}, name


def test_secrets_are_files():
    """Not in the environment, where `docker inspect` and every child process see them, and not in addresses."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|TOKEN", name):
                assert re.fullmatch(r"/run/secrets/\w+", value), name
        assert set(service.get("secrets", [])) <= set(SECRETS)
    assert {name: secret["file"] for name, secret in SECRETS.items()} == {name: f"./secrets/{name}" for name in SECRETS}
    assert re.findall(r"://\w+:[^@/\s]+@", TEXT) == []


@pytest.mark.parametrize("name", ["cars", "parts", "postgres"])
def test_a_secret_goes_to_those_who_need_it(name):
    """A service has its own password, and PostgreSQL its administrator's."""
    assert SERVICES[name]["secrets"] == [f"{name}_password"]


def test_only_the_shipper_knows_the_backend():
    """Another LOG_BACKEND changes no other service, so compose makes no other one anew."""
    knowing = [name for name, service in SERVICES.items() if "LOG_BACKEND" in json.dumps(service)]

    assert knowing == ["shipper"]
    assert SERVICES["shipper"]["environment"]["LOG_BACKEND"] == "${LOG_BACKEND:-local}"


def test_the_shipper_stays_the_same_with_the_stack_beside_it():
    """The second file says nothing of it, nor of the services."""
    assert set(load(ELK)["services"]) & set(load(BASE)["services"]) == {"postgres"}


@every_service
def test_paths_are_there(name):
    """Build contexts, Dockerfiles, what they copy, and every file that is mounted."""
    service = SERVICES[name]
    if build := service.get("build"):
        context = ROOT / build["context"]
        text = (context / build.get("dockerfile", "Dockerfile")).read_text()
        copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", text, re.MULTILINE)
        assert all((context / source).exists() for line in copied for source in line.split())
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in VOLUMES


@every_service
def test_images_are_pinned(name):
    """To a whole version, or built here from one."""
    service = SERVICES[name]
    image = service.get("image", "")
    froms = re.findall(r"^FROM (\S+)", dockerfile(service), re.MULTILINE)[:1] or [image]

    assert all(re.search(r":v?\d+\.\d+(\.\d+)?(-|$)", each) for each in froms)


def test_libraries_are_pinned_by_hash():
    """What an index serves tomorrow under the same name is not installed."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()

    installing = re.findall(r"pip (?:--python \S+ )?install (.*?)(?:-r |\n|&&|$)", text)
    assert installing
    assert all("--require-hashes" in options or "--no-index" in options for options in installing)


@pytest.mark.parametrize(
    ("lock", "distributions", "extras"),
    [
        ("shipper", ["dashcam"], ["loggly", "elk", "view"]),
        ("services", ["dashcam", "dashcam-chassis", "cars", "parts"], ["flask", "psycopg2", "requests"]),
    ],
)
def test_lock_files_hold_what_is_required(lock, distributions, extras):
    """In a version that is allowed: `make lock` after a change of pyproject.toml."""
    text = (ROOT / "deploy" / "requirements" / f"{lock}.txt").read_text()
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\$", text, re.MULTILINE))
    required = [Requirement(each) for name in distributions for each in requires(name)]

    for each in required:
        is_wanted = each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        if is_wanted and not each.url:
            assert each.specifier.contains(pinned[canonicalize_name(each.name)], prereleases=True), each
    assert len(re.findall(r"--hash=sha256:", text)) >= len(pinned) == len(re.findall(r"^\S+==", text, re.MULTILINE))


def test_the_stack_is_of_one_version():
    """The one the tests run against."""
    versions = {SERVICES[name]["image"].rpartition(":")[2] for name in ELASTIC}
    tested = (ROOT / "tests" / "engines" / "engine.py").read_text() + (
        ROOT / "tests" / "engines" / "jars.py"
    ).read_text()

    assert versions == {"9.5.3"}
    assert "9.5.3" in tested
    assert SERVICES["postgres"]["image"].startswith("postgres:18.")


@every_service
def test_each_is_confined(name):
    """No user root, no capabilities, a limit of memory, a file system that is read only where the program allows it."""
    service = SERVICES[name]
    user = service.get("user") or re.findall(r"^USER (\S+)$", dockerfile(service), re.MULTILINE)[-1]

    assert user.split(":")[0] not in {"root", "0"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    # These three write their own keystore or cache beside their program.
    assert service.get("read_only", False) == (name not in ELASTIC)


def test_it_all_fits_a_laptop():
    """At most 5 GB without Logstash, less than 1.2 GB without the stack."""
    limits = {name: int(service["mem_limit"].rstrip("m")) for name, service in SERVICES.items()}

    assert sum(limit for name, limit in limits.items() if name not in OPTIONAL | ONE_SHOT) <= 5000
    assert sum(limits[name] for name in load(BASE)["services"] if name not in OPTIONAL | ONE_SHOT) <= 1200


@every_service
def test_ports_are_for_this_host_alone(name):
    """Published on 127.0.0.1, and nothing twice."""
    assert all(address == "127.0.0.1" for address, *_ in published(SERVICES[name]))
    everything = [host for service in SERVICES.values() for _, host, _ in published(service)]
    assert len(set(everything)) == len(everything)


@every_service
def test_each_tells_its_health(name):
    """In the compose file or in its image; a job that ends tells it by its end."""
    service = SERVICES[name]
    has_check = "healthcheck" in service or "HEALTHCHECK" in dockerfile(service)

    assert has_check or name in ONE_SHOT
    assert ("on-failure" in service["restart"]) == (name in ONE_SHOT)


@every_service
def test_logs_take_bounded_room(name):
    """Rotated by Docker, or sent away by it."""
    logging = SERVICES[name]["logging"]

    assert logging["driver"] == "fluentd" or set(logging["options"]) == {"max-size", "max-file"}


def test_replicas_can_be_told_apart():
    """A service that can be scaled has no name, port or host name of its own."""
    for name in ("cars", "parts"):
        assert not {"hostname", "container_name", "ports"} & set(SERVICES[name])


def test_two_checkouts_share_nothing():
    """Neither the project's name nor an image's is fixed."""
    assert all("image" not in service for service in SERVICES.values() if "build" in service)
    assert not {"name"} & (set(load(BASE)) | set(load(ELK)))


def test_every_setting_of_the_shipper_can_be_set():
    """By .env, as a variable or a secret; where its folder is, is the image's to say."""
    given = set(SERVICES["shipper"]["environment"]) | {name.upper() for name in SERVICES["shipper"]["secrets"]}
    recording = {"LOG_LEVEL", "LOG_LEVELS", "DASHCAM_CONSOLE", "DASHCAM_TRUST_REQUEST_ID"}
    recording |= {"DASHCAM_MASK", "DASHCAM_MASK_ALLOW"}

    assert SETTINGS - given == recording | {
        "DASHCAM_DIR",
        "DASHCAM_CLIP_KEY",
        "DASHCAM_MASK_KEY",
        "KIBANA_SYSTEM_PASSWORD",
    }
    assert recording <= set(SERVICES["cars"]["environment"])


@every_service
def test_the_order_of_a_cold_start(name):
    """Each waits for services that are there, by a condition they can meet, and for itself in no circle."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how["condition"] == wanted
    seen, ahead = set(), [name]
    while ahead:
        for other in SERVICES[ahead.pop()].get("depends_on", {}):
            assert other != name
            ahead += [] if other in seen else [other]
            seen.add(other)


@pytest.mark.parametrize("name", ["shipper", "setup", "dashboards"])
def test_our_programs_know_what_they_are_told(name):
    """Each variable is a setting."""
    assert set(SERVICES[name]["environment"]) <= SETTINGS


def test_fluentd_knows_what_it_is_told():
    """Each variable is read in its configuration, each port is one it listens at, and the shipper's address too."""
    configuration = "".join(path.read_text() for path in sorted((ROOT / "logging" / "fluentd").rglob("*.conf")))

    given = [*SERVICES["fluentd"]["environment"], *re.findall(r"export (\w+)=", SERVICES["fluentd"]["command"][-1])]

    assert all(f"ENV['{name}']" in configuration or f"ENV.fetch('{name}')" in configuration for name in given)
    assert [port for *_, port in published(SERVICES["fluentd"])] == ["24225"]
    assert SERVICES["shipper"]["environment"]["FLUENTD_URL"].endswith("forward://fluentd:24224}")
    address = SERVICES["postgres"]["logging"]["options"]["fluentd-address"]
    assert SERVICES["fluentd"]["ports"] == [f"{address}:24225"]


def test_docker_sends_the_fraction_of_a_second():
    """Without it equal lines of one second are one document."""
    assert SERVICES["postgres"]["logging"]["options"]["fluentd-sub-second-precision"] == "true"


def test_addresses_between_containers():
    """By the name of a service and the port it listens at inside."""
    ports = {name: {port for *_, port in published(service)} for name, service in SERVICES.items()}
    ports["postgres"], ports["fluentd"] = {"5432"}, {"24224"}
    for name in ("parts", "cars"):
        ports[name] = {re.search(r"^EXPOSE (\d+)", dockerfile(SERVICES[name]), re.MULTILINE)[1]}
    proxy = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()
    found = re.findall(r"(?:http|forward)://([a-z]+):(\d+)|@([a-z]+):(\d+)/|set \$cars ([a-z]+):(\d+)", TEXT + proxy)
    found = [tuple(part for part in each if part) for each in found]

    assert {host for host, _ in found} >= {"cars", "parts", "postgres", "fluentd", "elasticsearch", "kibana"}
    assert all(port in ports[host] for host, port in found)


def test_every_user_that_shares_a_volume_has_one_number():
    """The spool is written by the services and read by the shipper; the keys are read by fluentd and Logstash."""
    for volume in ("spool", "keys"):
        sharing = [
            each for each in SERVICES.values() if any(m.startswith(f"{volume}:") for m in each.get("volumes", []))
        ]

        assert {user_number(service) for service in sharing} == {"10001"}


def user_number(service):
    """The number of the user a container runs as."""
    user = service.get("user") or re.findall(r"^USER (\S+)$", dockerfile(service), re.MULTILINE)[-1]
    return user.split(":")[0]


@every_service
def test_users_are_numbers_where_the_image_is_ours(name):
    """A name is looked up in the image, a number is what Kubernetes can check."""
    if "build" in SERVICES[name]:
        assert user_number(SERVICES[name]).isdecimal()


def test_make_keeps_a_backend_that_was_chosen(tmp_path):
    """`make up-elk` changes the default alone; `make down` keeps the volumes."""
    makefile = (ROOT / "Makefile").read_text()
    expression = re.search(r"sed -E '(s/\^LOG_BACKEND[^']+)'", makefile)[1].replace("$$", "$")

    for before, after in (("local", "elk"), ("", "elk"), ("loggly,elk", "loggly,elk"), ("stdout", "stdout")):
        (tmp_path / ".env").write_text(f"A=1\nLOG_BACKEND={before}\n")
        done = subprocess.run(["sed", "-E", expression, tmp_path / ".env"], capture_output=True, text=True, check=True)
        assert done.stdout == f"A=1\nLOG_BACKEND={after}\n"
    assert "--volumes" not in makefile


def make_secrets(folder):
    """The names that changed, as `make secrets` learns them."""
    script = ROOT / "deploy" / "compose" / "secrets.sh"
    done = subprocess.run(["sh", script], cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_secrets_come_from_env(tmp_path):
    """For its owner's eyes, and for whoever a file is mounted for; said when they change, and kept otherwise."""
    environment = make_env(tmp_path)

    assert make_secrets(tmp_path) == {name.upper() for name in SECRETS}
    assert make_secrets(tmp_path) == set()

    environment.write_text(environment.read_text().replace("LOGGLY_TOKEN=\n", "LOGGLY_TOKEN='a b'\n"))
    assert make_secrets(tmp_path) == {"LOGGLY_TOKEN"}
    assert (tmp_path / "secrets" / "loggly_token").read_text() == "a b"
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o644}


def test_an_older_env_gets_what_it_lacks(tmp_path):
    """With passwords made up, and nothing else touched."""
    make_env(tmp_path).write_text("POSTGRES_PASSWORD=mine\nLOG_BACKEND=loggly\n")

    make_secrets(tmp_path)

    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[:2] == ["POSTGRES_PASSWORD=mine", "LOG_BACKEND=loggly"]
    assert {line.partition("=")[0] for line in lines} == set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    assert re.search(r"^CARS_PASSWORD=[0-9a-f]{48}$", "\n".join(lines), re.MULTILINE)


STALE = [
    "services/cars/build/lib/cars/stale.py",
    "services/cars/.env",
    "services/cars/.venv/lib/x.py",
    "services/cars/src/cars/.env",
    "services/cars/src/cars.egg-info/PKG-INFO",
    "services/cars/tests/test_api.py",
    "src/dashcam/record/_speedups.cpython-311-x86_64-linux-gnu.so",
    "src/dashcam/record/__pycache__/line.cpython-311.pyc",
    "src/dashcam/.env",
    "build/lib/dashcam/stale.py",
    "logging/elk/.secret",
    "secrets/postgres_password",
    ".env",
    ".git/config",
    ".venv/bin/python",
    "tests/wire.py",
    "deploy/kubernetes/base/secret.yaml",
    "dashboards/kibana/.DS_Store",
]
NEEDED = [
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "setup.py",
    "dashboards/kibana/request-story.json",
    "deploy/requirements/services.txt",
    "deploy/compose/dashcam",
    "deploy/proxy/nginx.conf",
    "logging/elk/roles/writer.json",
    "services/cars/setup.py",
    "services/cars/src/cars/app.py",
    "services/cars/src/cars/migrations/0001_cars.sql",
    "services/chassis/src/chassis/worker.py",
    "src/dashcam/record/logs/line.py",
    "src/dashcam/show/web/static/style.css",
]


def is_sent(path):
    """Whether .dockerignore lets a file through: the last line that matches it, or a folder of it, wins."""
    is_kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            pattern = pattern.replace(r"\[co\]", "[co]")
            if re.fullmatch(f"{pattern}(?:/.*)?", path):
                is_kept = line.startswith("!")
    return is_kept


@pytest.mark.parametrize("path", STALE)
def test_what_a_build_or_a_run_leaves_behind_stays_out_of_images(path):
    """A module that is no more was once found in one."""
    assert not is_sent(path)


@pytest.mark.parametrize("path", NEEDED)
def test_what_an_image_needs_is_sent_to_docker(path):
    """And is there."""
    assert is_sent(path)


def test_whoever_ends_is_waited_for():
    """`up --wait` fails for a container that ended, unless another one depends on its end; the rest `make` runs."""
    awaited = {
        other
        for service in SERVICES.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    run = set(re.findall(r"run --rm (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert awaited | run == ONE_SHOT
    assert all(SERVICES[name].get("profiles") for name in run)


def test_what_is_copied_can_be_read_by_the_image_s_user():
    """Also from a checkout that its owner alone can read; build stages are root's."""
    for name in ("shipper", "cars", "parts", "proxy", "fluentd"):
        stages = re.split(r"^FROM ", dockerfile(SERVICES[name]), flags=re.MULTILINE)
        copied = re.findall(r"^COPY .*", stages[-1], re.MULTILINE)
        assert all(re.match(r"COPY --(from|chmod|chown)=", line) for line in copied), name
