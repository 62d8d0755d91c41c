"""What GitHub runs and shows, as far as it can be checked without GitHub."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
FORMS = sorted(GITHUB.glob("ISSUE_TEMPLATE/*.yml"))
SCHEMAS = {
    **dict.fromkeys(sorted(GITHUB.glob("workflows/*.yml")), "github-workflows"),
    **{path: "github-issue-config" if path.name == "config.yml" else "github-issue-forms" for path in FORMS},
    GITHUB / "dependabot.yml": "dependabot",
}


def load(path):
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize(("path", "schema"), SCHEMAS.items(), ids=lambda value: getattr(value, "name", value))
def test_each_file_has_its_schema(path, schema):
    """GitHub's published schema accepts each file."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_matrix_covers_what_the_package_promises():
    """Linux and macOS, x86-64 and ARM, and each Python that a wheel is built for."""
    matrix = load(GITHUB / "workflows" / "tests.yml")["jobs"]["test"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    built = re.findall(r"cp3(\d+)-\*", project["tool"]["cibuildwheel"]["build"])

    assert matrix["python"] == [f"3.{minor}" for minor in built] == ["3.11", "3.12", "3.13", "3.14"]
    assert project["project"]["requires-python"] == f">={matrix['python'][0]}"
    assert matrix["runner"] == ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "macos-15-intel"]


def test_workflows_call_targets_that_exist():
    """Each `make` of a workflow is a target of the Makefile."""
    called = {
        target for path in GITHUB.glob("workflows/*.yml") for target in re.findall(r"run: make (\S+)", path.read_text())
    }
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert called == {"check", "demo", "test", "test-containers", "test-lowest", "wheel"}
    assert called <= targets


def test_a_release_is_published_without_a_password():
    """PyPI trusts the workflow; nothing in it reads a secret."""
    release = load(GITHUB / "workflows" / "release.yml")

    assert release["permissions"] == {"contents": "read"}
    assert release["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text()


def test_pre_commit_runs_what_make_check_runs():
    """The hooks are the same three tools."""
    hooks = load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    check = re.search(r"^check:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL).group()

    assert [hook["entry"].split()[0].rpartition("/")[2] for hook in hooks] == ["ruff", "ruff", "mypy"]
    assert re.findall(r"\$\(BIN\)/(\w+)", check) == ["ruff", "ruff", "mypy"]
