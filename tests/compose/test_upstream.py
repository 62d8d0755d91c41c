"""What docs/elk.md says of the images of others is what the compose files and Dockerfiles take for granted."""

import re
from pathlib import Path

import pytest

from .test_compose import ROOT, SERVICES, dockerfile

ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| `([^`]+)` \| ([^|]*) \|$", re.MULTILINE)
FACTS = {image: rest for image, *rest in ROW.findall((ROOT / "docs" / "elk.md").read_text())}
FILES = [*ROOT.glob("docker-compose*.yml"), ROOT / "deploy" / "Dockerfile", ROOT / "logging" / "fluentd" / "Dockerfile"]


def images_of(path: Path) -> set[str]:
    """The images that a file pulls."""
    found = re.findall(r"^(?:FROM|\s+image:) (\S+:\S+)", path.read_text(), re.MULTILINE)
    return set(found)


def test_each_image_was_read_about():
    """And none that is not used."""
    used = set().union(*(images_of(path) for path in FILES))

    assert {image.replace("-slim", "") for image in used} == {image.replace("-slim", "") for image in FACTS}


@pytest.mark.parametrize("name", ["elasticsearch", "kibana"])
def test_a_replaced_entrypoint_ends_in_the_image_s_own(name):
    """Our shell reads the secrets first."""
    program = FACTS[SERVICES[name]["image"]][2].split()

    assert SERVICES[name]["entrypoint"][:2] == program[:2]
    assert " ".join(program[2:]) in SERVICES[name]["entrypoint"][-1]


@pytest.mark.parametrize("name", ["elasticsearch", "kibana", "postgres"])
def test_users_are_the_image_s_own(name):
    """Whose folders they may write."""
    _, user, *_ = FACTS[SERVICES[name]["image"]]

    assert SERVICES[name]["user"].split(":")[0] == user.split()[0]


@pytest.mark.parametrize("name", ["elasticsearch", "kibana"])
def test_ports_are_the_image_s_own(name):
    """Those inside the container."""
    _, _, _, ports = FACTS[SERVICES[name]["image"]]

    assert {port.rpartition(":")[2] for port in SERVICES[name]["ports"]} <= set(re.findall(r"\d+", ports))


def test_the_proxy_runs_as_nginx_s_user():
    """By its number."""
    (_, user, *_), text = FACTS["nginx:1.30.4-trixie"], dockerfile(SERVICES["proxy"])

    assert re.search(r"\((\d+)\)", user)[1] == re.search(r"^USER (\d+):", text, re.MULTILINE)[1]
