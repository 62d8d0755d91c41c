"""The compose files as far as they can be held to something without a Docker engine."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dashcam.settings import Settings

ROOT = Path(__file__).parents[2]
BASE, ELK = ROOT / "docker-compose.yml", ROOT / "docker-compose.elk.yml"
TEXT = BASE.read_text() + ELK.read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SETTINGS = {setting.metadata["variable"] for setting in fields(Settings)}
ONE_SHOT = {"setup", "dashboards"}
ELASTIC = {"elasticsearch", "kibana", "logstash"}


def load(path):
    return json.loads(json.dumps(YAML(typ="safe").load(path)))


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
every_service = pytest.mark.parametrize("name", SERVICES)


def dockerfile(service):
    """The text of the Dockerfile a service is built by, empty where it is pulled."""
    build = service.get("build") or (SERVICES["shipper"]["build"] if service["image"] == "dashcam-shipper" else None)
    return (ROOT / build["context"] / build.get("dockerfile", "Dockerfile")).read_text() if build else ""


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

    assert len(set(secrets)) == len(secrets) == 5
    assert made.stat().st_mode & 0o077 == 0
    assert made.read_text() == first


def test_variables_and_their_example_agree():
    """Each that is used is in .env.example, and the other way round; one that must be set is made up."""
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    told = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    must = set(re.findall(r"\$\{(\w+):\?", TEXT))

    assert used == told
    assert all(re.fullmatch(r"\w+(_PASSWORD|_KEY)", name) for name in must)


def test_defaults_are_told_once():
    """What the example says is what a missing variable means."""
    for name, default in re.findall(r"(?<!\$)\$\{(\w+):-([^}]*)\}", TEXT):
        told = re.search(rf"^{name}=(.*)$", EXAMPLE, re.MULTILINE)[1]
        assert told in {default, ""}, name


def test_no_secret_is_written_down():
    """Passwords, keys and tokens come from variables, in addresses as well."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:[?-][^}]*\}", value), name
    assert re.findall(r"://\w+:(?!\$\{)[^@/\s]+@", TEXT) == []


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
        copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", dockerfile(service), re.MULTILINE)
        assert all((context / source).exists() for line in copied for source in line.split())
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in VOLUMES


@every_service
def test_images_are_pinned(name):
    """To a whole version, or built here from one."""
    service = SERVICES[name]
    image = service.get("image", "")
    froms = re.findall(r"^FROM (\S+)", dockerfile(service), re.MULTILINE) or [image]

    assert all(re.search(r":v?\d+\.\d+(\.\d+)?(-|$)", each) for each in froms)


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

    assert sum(limit for name, limit in limits.items() if name != "logstash") <= 5000
    assert sum(limits[name] for name in load(BASE)["services"]) <= 1200


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
    assert ("entrypoint" in service and "on-failure" in service["restart"]) == (name in ONE_SHOT)


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

    assert all(f"ENV['{name}']" in configuration or f"ENV.fetch('{name}')" in configuration
               for name in SERVICES["fluentd"]["environment"])  # fmt: skip
    assert sorted(port for *_, port in published(SERVICES["fluentd"])) == ["24220", "24224", "24225"]
    assert SERVICES["shipper"]["environment"]["FLUENTD_URL"].endswith("forward://fluentd:24224}")
    assert SERVICES["postgres"]["logging"]["options"]["fluentd-address"] == "127.0.0.1:24225"


def test_addresses_between_containers():
    """By the name of a service and the port it listens at inside."""
    ports = {name: {port for *_, port in published(service)} for name, service in SERVICES.items()}
    ports["postgres"] = {"5432"}
    ports["parts"] = {re.search(r"^EXPOSE (\d+)", dockerfile(SERVICES["parts"]), re.MULTILINE)[1]}
    found = re.findall(r"(?:http|forward)://(?:\w+:\$\{[^}]+\}@)?([a-z]+):(\d+)", TEXT) + re.findall(
        r"@([a-z]+):(\d+)/", TEXT
    )

    assert {host for host, _ in found} >= {"parts", "postgres", "fluentd", "elasticsearch", "kibana"}
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
    if "user" in service:
        return service["user"].split(":")[0]
    return re.search(r"(?:--uid |^USER )(\d+)", dockerfile(service), re.MULTILINE)[1]


def test_make_has_the_targets():
    """`make up-elk` sets LOG_BACKEND and starts both files; `make down` ends both, and keeps the volumes."""
    makefile = (ROOT / "Makefile").read_text()

    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in ("up", "up-elk", "down", r"\.env"))
    assert "s/^LOG_BACKEND=.*/LOG_BACKEND=elk/" in makefile
    assert "--volumes" not in makefile


def test_what_an_image_needs_is_sent_to_docker():
    """.dockerignore lets every copied folder through."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    for name in ("cars", "parts", "shipper"):
        for line in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", dockerfile(SERVICES[name]), re.MULTILINE):
            assert {source.split("/")[0] for source in line.split()} <= let_through
