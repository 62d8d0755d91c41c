"""The containers as `make up` starts them, broken in many ways: `make test-containers`.

Every request that was answered with 201 has to be found, in both services, after all of it.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from .base_images import BASE_IMAGES
from .stack import STALE, Stack, until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
OURS = ("cars", "parts", "shipper", "proxy")
MAX_ADDED_BYTES = 60_000_000


@pytest.fixture
def complete(stack, table, request):
    """Whatever a test does, afterwards each 201 is found in both services, and nothing was dropped."""
    before = len(stack.ordered)
    yield stack
    until(stack.is_healthy, "health")
    wanted = set(stack.ordered)

    def missing():
        return {name: wanted - (stack.request_ids(name) | elsewhere(stack, name)) for name in ("cars", "parts")}

    began = time.monotonic()
    while any(lost := missing().values()) and time.monotonic() - began < 60:
        time.sleep(1)
    table[request.node.name] = f"{len(wanted) - before} cars ordered, {len(set().union(*lost))} of {len(wanted)} lost"
    assert {name: len(ids) for name, ids in missing().items()} == {"cars": 0, "parts": 0}


def elsewhere(stack, service):
    """What went to the stand-in, where it runs."""
    return stack.request_ids(service, "loggly") if stack.containers("fake-loggly") else set()


def load_of(stack, least):
    """Wait until that many more cars were ordered."""
    wanted = len(stack.ordered) + least
    until(lambda: len(stack.ordered) >= wanted, f"{least} cars")


def test_all_is_healthy_and_confined(stack):
    """No root, no capabilities, no writable image, no more privileges, no secret to be seen."""
    found = stack.containers()
    secrets = [path.read_text() for path in (stack.folder / "secrets").iterdir() if path.stat().st_size]

    assert {name.split("-")[1] for name in found} >= {*OURS, "postgres"}
    assert stack.is_healthy()
    for name, each in found.items():
        host, text = each["HostConfig"], json.dumps(each)
        assert each["Config"]["User"].split(":")[0] not in {"", "0", "root"}, name
        assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), name
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert not any(secret in text for secret in secrets), name


def test_a_story_is_followed(complete):
    """With the command beside the shipper."""
    assert complete.order() == 201

    story = until(lambda: complete.dashcam("trace", complete.ordered[-1], check=False), "story")
    assert "cars, parts" in story
    assert "no errors" in story


def test_a_request_is_as_large_as_sizing_says(complete):
    """Thirteen events of 1,000 bytes, as docs/deployment.md has it."""
    assert complete.order() == 201
    query = f'http.request.id:"{complete.ordered[-1]}"'

    def lines():
        found = complete.dashcam("search", query, "--json", "--limit", "0", check=False).splitlines()
        return found if len(found) >= 13 else []

    sizes = [len(line) for line in until(lines, "13 events")]
    assert len(sizes) == 13
    assert 900 < sum(sizes) / 13 < 1100


def test_images_hold_what_they_need(stack, table):
    """And no more: nothing stale, no compiler, no pip, labels, a bill of materials, and a bounded size."""
    for service in OURS:
        image = stack.engine.inspect(f"{stack.name}-{service}")
        base = stack.engine.inspect(
            next(
                name
                for name in BASE_IMAGES
                if name.startswith("nginx" if service == "proxy" else "python")
                and "slim" in name + ("slim" if service == "proxy" else "")
            )
        )
        added = image["Size"] - base["Size"]
        table[f"image {service}"] = f"{added / 1e6:.1f} MB on top of its base"
        assert added <= MAX_ADDED_BYTES
        assert image["Config"]["Labels"]["org.opencontainers.image.title"]
        assert image["Config"]["Healthcheck"]
        assert re.fullmatch(r"\d+:\d+", image["Config"]["User"])
    listed = stack.engine.run("run", "--rm", "--entrypoint", "find", f"{stack.name}-cars", "/app").stdout
    assert not re.search("|".join(path.rpartition("/")[2] for path in STALE if "stale" in path), listed)
    assert not re.search(r"/app/bin/pip|/app/.*\.env\b", listed)
    bill = stack.engine.run("run", "--rm", "--entrypoint", "cat", f"{stack.name}-cars", "/app/sbom.cdx.json").stdout
    assert {"flask", "gunicorn", "orjson"} <= {each["name"].lower() for each in json.loads(bill)["components"]}


def test_images_are_made_for_kubernetes(stack):
    """By `make images`, under the names of the manifests, of the revision that is checked out."""
    subprocess.run(["git", "init", "--quiet"], cwd=stack.folder, check=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, "commit", "--quiet", "--allow-empty", "--message", "x"], cwd=stack.folder, check=True)
    stack.make("images")

    for name in OURS:
        labels = stack.engine.inspect(f"dashcam/{name}")["Config"]["Labels"]
        assert re.fullmatch("[0-9a-f]{7,}", labels["org.opencontainers.image.revision"])


def test_a_change_builds_in_seconds(stack, table):
    """Libraries have a layer of their own."""
    with (stack.folder / "services/cars/src/cars/ledger.py").open("a") as file:
        file.write(f"\n# changed {uuid.uuid4()}\n")  # the engine may know the change of an earlier run

    began = time.monotonic()
    stack.compose("build", "--quiet", "cars")

    table["build after a change"] = f"{time.monotonic() - began:.0f} s"
    history = stack.engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", f"{stack.name}-cars").stdout
    assert history.count("COPY /app /app") == history.count("COPY /code /app") == 1


@pytest.mark.parametrize("service", ["cars", "parts", "shipper", "postgres", "proxy"])
def test_a_killed_container_loses_nothing(complete, service):
    """Its first process, from outside: the engine starts it again."""
    with complete.load():
        load_of(complete, 20)
        for container in complete.containers(service).values():
            subprocess.run(["kill", "-9", str(container["State"]["Pid"])], check=True)
        load_of(complete, 20)


@pytest.mark.parametrize("service", ["cars", "shipper"])
def test_a_container_killed_by_hand_loses_nothing(complete, service):
    """Which stays away until somebody starts it."""
    with complete.load():
        load_of(complete, 20)
        complete.compose("kill", "--signal", "KILL", service)
        complete.compose("start", service)
        load_of(complete, 20)


def test_stopping_keeps_to_the_grace_period(complete, table):
    """Nobody has to be killed, and whatever was begun is finished."""
    with complete.load():
        load_of(complete, 20)
        began = time.monotonic()
        complete.compose("stop", "cars", "parts", "shipper")
        table["stop under load"] = f"{time.monotonic() - began:.0f} s"
        codes = {}
        for name in ("cars", "parts", "shipper"):
            listed = complete.compose("ps", "--all", "--quiet", name).split()
            codes[name] = complete.engine.inspect(listed[0])["State"]["ExitCode"]
        complete.compose("up", "--detach", "--wait")
        load_of(complete, 20)

    assert codes == {"cars": 0, "parts": 0, "shipper": 0}


def test_three_replicas_share_the_work(complete):
    """They can be told apart, and share the spool."""
    complete.compose("up", "--detach", "--wait", "--scale", "cars=3")
    try:
        hosts = {each["Config"]["Hostname"] for each in complete.containers("cars").values()}

        def nodes():
            lines = complete.dashcam("search", "service:cars processor.event:transaction", "--json", "--limit", "0")
            return {json.loads(line)["service"]["node"]["name"] for line in lines.splitlines()}

        with complete.load():
            until(lambda: hosts <= nodes(), "work of all three")
        assert len(hosts) == 3
    finally:
        complete.compose("up", "--detach", "--wait", "--scale", "cars=1")


def check_health(stack, service):
    """Run the check of a service's image: whether it is well, and what it says."""
    name, found = next(iter(stack.containers(service).items()))
    ran = stack.engine.run("exec", name, *found["Config"]["Healthcheck"]["Test"][1:], check=False)
    return ran.returncode == 0, ran.stdout


def test_switching_the_backend_under_load(complete):
    """To the stand-in and back: only the shipper is made anew, and each event is in one of them.

    Until the stand-in is there the shipper waits for it, which is healthy, and says so.
    """
    complete.make("up")  # an image that another test built anew is in use from here on
    others = {name: each["Id"] for name, each in complete.containers().items() if "-shipper-" not in name}
    complete.change(
        LOG_BACKEND="loggly",
        LOGGLY_URL="http://fake-loggly:8088",
        LOGGLY_API_URL="http://fake-loggly:8088",
        LOGGLY_TOKEN="11111111-2222-3333-4444-555555555555",
        LOGGLY_API_TOKEN="stand-in-api-token",
    )
    complete.make("secrets")
    with complete.load(1):  # the stand-in keeps all of it in memory
        load_of(complete, 20)
        complete.compose("up", "--detach", "--wait")
        until(lambda: "loggly: waits since" in check_health(complete, "shipper")[1], "shipper that waits")
        assert complete.is_healthy()
        complete.compose("--profile", "fake-loggly", "up", "--detach", "fake-loggly")
        complete.make("up")
        load_of(complete, 20)
        complete.change(LOG_BACKEND="local")
        complete.make("up")
        load_of(complete, 20)

    assert others.items() <= {name: each["Id"] for name, each in complete.containers().items()}.items()


def test_a_hung_shipper_is_not_healthy(complete):
    """One that waits for a backend that is down is, and says so."""

    def state():
        return next(iter(complete.containers("shipper").values()))["State"]

    def health():
        return state()["Health"]

    init = state()["Pid"]
    shipper = int(Path(f"/proc/{init}/task/{init}/children").read_text())
    os.kill(shipper, signal.SIGSTOP)
    try:
        until(lambda: health()["Status"] == "unhealthy", "unhealthy shipper", 180)
    finally:
        os.kill(shipper, signal.SIGCONT)
    until(lambda: health()["Status"] == "healthy", "healthy shipper")
    assert "local: ships" in health()["Log"][-1]["Output"]


def test_a_lost_database_is_noticed_and_made_again(complete):
    """Health asks for it, a start of `prepare` makes it, and the service its tables."""
    psql = ("exec", "-T", "postgres", "psql", "-U", "dashcam", "-d", "postgres", "-c")
    complete.compose(*psql, "DROP DATABASE parts WITH (FORCE)")
    is_well, said = check_health(complete, "parts")
    assert not is_well
    assert "database" in said

    complete.compose("up", "--detach")
    complete.compose("restart", "parts")
    until(lambda: complete.order() == 201, "a car")
    assert check_health(complete, "parts")[0]


def test_slow_clients_are_not_felt(stack):
    """Two hundred that send half a request to the proxy."""
    with ExitStack() as held:
        for _ in range(200):
            client = held.enter_context(socket.create_connection(("127.0.0.1", stack.port)))
            client.sendall(b"POST /cars HTTP/1.1\r\nHost: cars\r\nContent-Length: 100\r\n\r\n{")
        answer = stack.ask("GET", "/healthz", timeout=5)
        assert answer.status == 200
        assert stack.order() == 201


@pytest.fixture
def other(docker, tmp_path):
    """A second checkout, beside the first."""
    made = []

    def make(**settings):
        made.append(Stack(docker, tmp_path / f"checkout{len(made)}", **settings))
        return made[-1]

    yield make
    for each in made:
        each.remove()


@pytest.mark.long
def test_a_small_volume_is_enough(other, table):
    """Delivered segments make room: more is recorded than fits, and nothing is dropped.

    When something else fills the volume, cars are built and the shipper stays; afterwards events arrive again.
    """
    small = other(DASHCAM_SPOOL_LIMIT="4MB", DASHCAM_LOCAL_LIMIT="32MB")
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=64m,uid=10001,gid=10001,mode=0750"}
    override = {"volumes": {"spool": {"driver_opts": options}}}
    (small.folder / "docker-compose.override.yml").write_text(json.dumps(override))
    small.make("up")

    def status():
        return json.loads(small.dashcam("status", "--json", check=False) or "{}")

    def is_enough():
        found = status()
        return found.get("recorded", 0) > 24_000 or sum(found.get("dropped", {}).values())

    with small.load(8):
        until(is_enough, "24,000 events", 600)

    found = until(lambda: (s := status()) and s["routes"]["local"]["waiting"] == 0 and s, "delivery")
    table["small volume"] = (
        f"{found['recorded']:,} events through spools of 4 MB, dropped {sum(found['dropped'].values())}"
    )
    assert sum(found["dropped"].values()) == 0
    assert all(each["RestartCount"] == 0 for each in small.containers().values())

    fill = "dd if=/dev/zero of=/var/lib/dashcam/fill bs=64k; test -s /var/lib/dashcam/fill"
    small.compose("exec", "-T", "cars", "sh", "-c", fill)
    with small.load(2):
        load_of(small, 20)
        assert check_health(small, "shipper")[0]
    small.compose("exec", "-T", "cars", "rm", "/var/lib/dashcam/fill")
    until(lambda: small.order() == 201 and small.ordered[-1] in small.request_ids("parts"), "a request after all")
    assert all(each["RestartCount"] == 0 for each in small.containers().values())


@pytest.mark.long
def test_a_postgresql_killed_in_its_first_seconds(other):
    """While its cluster is made: the next start makes good what was not finished."""
    young = other()
    young.make("secrets")
    young.compose("up", "--no-start", "postgres")
    postgres = young.compose("ps", "--all", "--quiet", "postgres").strip()
    young.engine.run("start", postgres)
    process = young.engine.inspect(postgres)["State"]["Pid"]
    volume = Path(f"/proc/{process}/root/var/lib/postgresql")
    until(lambda: [*volume.glob("*/docker/PG_VERSION")], "beginning of a cluster")
    subprocess.run(["kill", "-9", str(process)], check=True)

    young.make("up")

    assert young.order() == 201


def test_down_needs_no_env(other):
    """A checkout whose .env is gone can still be taken down."""
    gone = other()
    (gone.folder / ".env").unlink()

    gone.make("down")
