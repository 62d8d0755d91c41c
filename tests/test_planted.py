"""The table of planted bugs fits the code as it is; `make planted-bugs` shows that the tests notice them."""

import ast

import pytest

from .planted import ROOT, bugs
from .planted.__main__ import HEAD, PAGE

BUGS = bugs()
CORE = ("src/dashcam/spool/", "src/dashcam/ship/")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug.file}: {bug.wrong}")
def test_a_bug_can_be_planted(bug):
    """Its old text stands exactly once in its file, the new one is Python, and its tests exist."""
    text = (ROOT / bug.file).read_text()

    planted = bug.planted(text)

    assert planted != text
    if bug.file.endswith(".py"):
        ast.parse(planted)
    for test in bug.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists(), test
        assert not name or f"def {name}(" in (ROOT / path).read_text(), test


def test_there_are_enough():
    """At least 40 in the spool and the shipper, 80 in all; each says something else."""
    assert sum(bug.file.startswith(CORE) for bug in BUGS) >= 40
    assert len(BUGS) >= 80
    assert len({bug.wrong for bug in BUGS}) == len({(bug.file, bug.old, bug.new) for bug in BUGS}) == len(BUGS)


def test_the_page_has_the_table():
    """docs/testing.md lists each bug, with what became of it at the last count."""
    table = PAGE.read_text().partition(HEAD)[2]

    assert [bug.wrong for bug in BUGS if f"| {bug.wrong} |" not in table] == []
    assert table.count("| caught |") >= 0.95 * len(BUGS)
