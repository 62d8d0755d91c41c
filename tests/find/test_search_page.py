"""docs/search.md says what the language does."""

import re
from pathlib import Path

import pytest

from dashcam.find.fields import SHORT
from dashcam.find.language import parse

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
ROWS = re.findall(r"^\| (`.*?) \| .*\|$", PAGE, re.MULTILINE)
SEARCHES = [search for row in ROWS for search in re.findall(r"`([^`]+)`", row) if search not in SHORT]


def test_every_short_name_is_told():
    """The table of the page is the one the language uses."""
    assert dict(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|$", PAGE, re.MULTILINE)) == SHORT


@pytest.mark.parametrize("search", SEARCHES)
def test_every_example_can_be_read(search):
    """What the page shows is no error."""
    assert parse(search)


def test_the_page_has_examples():
    """The expressions above were found."""
    assert len(SEARCHES) > 20
