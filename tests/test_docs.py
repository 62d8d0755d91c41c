"""The documentation says what is so."""

import re
from pathlib import Path

import pytest

import dashcam
from dashcam.cli import COMMANDS
from dashcam.cli.commands.settings import page
from dashcam.spool.segment import DROP_REASONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FOLDERS = (".", "docs/**", "services/*", "dashboards/**")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md"))

# What a newcomer asks, and what does it.
DONE_BY = {
    "what is masked": "def mask_text(",
    "what a line of the spool looks like": "class LineExpander",
    "how Loggly pages": "def _pages(",
    "how a story is drawn": "def draw(story: Story",
    "what `doctor` checks of Elasticsearch": "def engine_checks(",
}


def test_the_page_of_settings_is_generated():
    """docs/settings.md is what `dashcam settings --markdown` prints."""
    assert (ROOT / "docs" / "settings.md").read_text() == "\n".join(page()) + "\n"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Each link to a file of the repository finds it, and the heading that it names."""
    links = re.findall(r"\]\((?!https?://|mailto:)([^)#\s]*)#?([^)\s]*)\)", path.read_text())

    assert [link for link, _ in links if not (path.parent / link).exists()] == []
    assert [
        f"{link}#{anchor}"
        for link, anchor in links
        if anchor and anchor not in anchors(path.parent / link if link else path)
    ] == []


def anchors(page):
    """The anchors that GitHub gives the headings of a page, or of a folder's README."""
    page = page / "README.md" if page.is_dir() else page
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_each_page():
    """A page of docs/ that docs/README.md does not name would not be found."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert sorted(page for page in pages if f"]({page})" not in index) == []


def test_the_api_page_has_every_public_name():
    """docs/api.md has a section for each name of `dashcam.__all__`, with an example, and for no other."""
    sections = re.split(r"^### `", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE)[1:]
    names = {re.match(r"\w+", section).group(): section for section in sections}

    assert sorted(names) == sorted(dashcam.__all__)
    assert [name for name, section in names.items() if "```python" not in section and name != "__version__"] == []


def test_the_glossary_names_what_there_is():
    """Each class, function and file that the glossary names is in the code."""
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    code = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    names = set(re.findall(r"`([A-Z]\w+|\w+_\w+)`", glossary))
    files = set(re.findall(r"`([\w/]+\.py)`", glossary))

    assert len(names) > 10
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", code)) == []
    assert sorted(file for file in files if not (ROOT / "src" / "dashcam" / file).exists()) == []


def test_the_place_of_a_change_is_found():
    """CONTRIBUTING.md leads to the one file that does a thing, and to the tests that have that file's name."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (.+?) \| \[.*?\]\((.+?)\).* \| \[.*?\]\((.+?)\) \|$", page, re.MULTILINE)
    places = {change: (ROOT / file, ROOT / tests) for change, file, tests in rows}
    code = {path: path.read_text() for path in (ROOT / "src").rglob("*.py")}

    for change, definition in DONE_BY.items():
        file, tests = places[change]
        assert [path for path, text in code.items() if definition in text] == [file]
        assert list(tests.rglob(f"test_{file.stem}*.py")), change


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_can_be_read(scheme):
    """In light and in dark mode each text of the architecture has a contrast of 7 with every box (WCAG 2.2, AAA)."""
    style = re.search(r"<style>(.*?)</style>", (ROOT / "docs" / "architecture.svg").read_text(), re.DOTALL).group(1)
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    fills = dict(re.findall(FILL, light) + (re.findall(FILL, dark) if scheme == "dark" else []))
    boxes = [fills[name] for name in (".page", ".host", ".process", ".files", ".outside", ".reader")]

    assert min(contrast(fills["text"], box) for box in boxes) >= 7
    assert min(contrast(fills[name], box) for name in (".dim", ".verb") for box in boxes[:2]) >= 7


FILL = r"(?<![\w-])(\.?\w+) \{ fill: (#[0-9a-f]{6})"


def contrast(colour, other):
    """The contrast of two colours, 1 to 21, as WCAG 2.2 defines it."""
    darker, lighter = sorted(map(luminance, (colour, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_each_command(command):
    """A newcomer finds every command in the README."""
    assert re.search(rf"\bdashcam {command}\b", README)


@pytest.mark.parametrize("reason", DROP_REASONS)
def test_each_reason_for_a_drop_is_explained(reason):
    """`dashcam status` can say why an event was dropped."""
    from dashcam.cli.commands.status import REASONS

    assert REASONS[reason]


def test_each_lean_on_others_is_listed():
    """A file that uses a private name of another package stands in the decision about that."""
    page = (ROOT / "docs" / "decisions" / "0012-where-we-lean-on-others.md").read_text()
    record = ROOT / "src" / "dashcam" / "record"
    own = {"logger.py"}  # its private name is its own

    leaning = {path.name for path in record.glob("*.py") if "SLF001" in path.read_text()} - own

    assert leaning
    assert sorted(name for name in leaning if f"`record/{name}`" not in page) == []
