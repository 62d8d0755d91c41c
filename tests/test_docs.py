"""The documentation says what is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dashcam.cli import COMMANDS
from dashcam.commands.settings import page
from dashcam.spool.segment import DROP_REASONS

ROOT = Path(__file__).parents[1]
FOLDERS = (".", "docs/**", "services/*", "dashboards/**")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md"))


def test_the_page_of_settings_is_generated():
    """docs/settings.md is what `dashcam settings --markdown` prints."""
    assert (ROOT / "docs" / "settings.md").read_text() == "\n".join(page()) + "\n"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Each link to a file of the repository finds it."""
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    """`--help` says what a command does and ends well."""
    done = subprocess.run(
        [sys.executable, "-m", "dashcam.cli", command, "--help"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert "exit status" in done.stdout
    assert len(done.stdout.splitlines()) > 8


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_each_command(command):
    """A newcomer finds every command in the README."""
    assert re.search(rf"\bdashcam {command}\b", (ROOT / "README.md").read_text())


@pytest.mark.parametrize("reason", DROP_REASONS)
def test_each_reason_for_a_drop_is_explained(reason):
    """`dashcam status` can say why an event was dropped."""
    from dashcam.commands.status import REASONS

    assert REASONS[reason]
