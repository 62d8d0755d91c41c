"""docs/deployment.md and docs/elk.md say of operation whether it was run, and by which test."""

import re

import pytest

from .namespaces import ROOT

SECTIONS = [
    ("deployment.md", r"^## One machine.*"),
    ("elk.md", r"^## From the demo to the stack\n\n.*?\n\n(.*?)^## "),
    ("elk.md", r"^## Beyond one machine\n\n(.*?)^## "),
]
RUN = re.compile(r'\[run\]\(\.\./(\S+) "(\w+)"\)')


@pytest.fixture(params=SECTIONS, ids=str)
def marked(request):
    """The part of a page whose paragraphs have marks."""
    page, pattern = request.param
    found = re.search(pattern, (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)
    return found[found.lastindex or 0]


def test_every_paragraph_ends_with_a_mark(marked):
    """Nothing that is said there is neither run nor marked as read."""
    text = re.sub(r"^```.*?^```$", "", marked, flags=re.DOTALL | re.MULTILINE)
    paragraphs = [each.strip() for each in text.split("\n\n") if not re.match(r"\s*(#|\||    |$)", each)]

    assert len(paragraphs) > 4
    assert [each for each in paragraphs if not re.search(rf"\(({RUN.pattern}|\*\*read\*\*)\)\.$", each)] == []


def test_what_was_run_has_a_test(marked):
    """Of the name that the mark shows, in the file that it leads to."""
    marks = RUN.findall(marked)

    assert marked.count("[run]") == len(marks)
    assert [(path, name) for path, name in marks if f"def {name}(" not in (ROOT / path).read_text()] == []
