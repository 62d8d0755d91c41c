"""The figures that the pages quote are those that docs/benchmarks.md recorded last."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text()


def promised(name: str) -> Callable[[str], float]:
    """The figure of a promise, by its text."""
    return lambda section: _number(rf"^promise: {re.escape(name)} \| ([\d.,]+)", section)


def in_row(row: str) -> Callable[[str], float]:
    """The first figure of the first row that begins so."""
    return lambda section: _number(rf"^{re.escape(row)}:? +([\d.,]+)", section)


def _number(pattern: str, section: str) -> float:
    found = re.search(pattern, section, re.MULTILINE)
    assert found, f"docs/benchmarks.md has no {pattern}"
    return float(found[1].rstrip(",").replace(",", ""))


class Quote(NamedTuple):
    """A figure in a page: the words around it, the section that has it, and how often the one goes into the other."""

    page: str
    words: str
    section: str
    measured: Callable[[str], float]
    scale: float = 1.0


QUOTES = [
    Quote(
        "README.md",
        r"adds (\d+) µs of CPU",
        "flask_request",
        promised("CPU µs that all telemetry adds to a Flask request"),
    ),
    Quote("README.md", r"package alone adds (\d+)", "flask_request", partial(_number, r"the package alone adds (\d+)")),
    Quote(
        "docs/limits.md",
        r"among 1,000,000 events in ([\d.]+) ms",
        "lookup",
        promised("ms to find a request ID among 1,000,000 events in the local store"),
    ),
    Quote(
        "docs/limits.md",
        r"in a new process in ([\d.]+) ms",
        "lookup",
        promised("ms of dashcam trace among 1,000,000 events as a whole process"),
    ),
    Quote(
        "docs/overview.md",
        r"local store gave it in ([\d.]+) s",
        "overview",
        promised("seconds of an overview of 1,000,000 requests, local"),
    ),
    Quote(
        "docs/overview.md",
        r"Elasticsearch in ([\d.]+) s",
        "overview",
        promised("seconds of an overview of 1,000,000 requests, elasticsearch"),
    ),
    Quote("docs/overview.md", r"and in ([\d.]+) s at the first time", "overview", in_row("elasticsearch")),
    Quote(
        "docs/viewer.md",
        r"is painted after ([\d.]+) s",
        "first_paint",
        promised("ms until the first paint of the overview, 10,000,000 events kept"),
        0.001,
    ),
    Quote("docs/viewer.md", r"whole day of them take ([\d.]+) s", "first_paint", in_row("overview, 24 h"), 0.001),
]


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: f"{quote.page} {quote.section}")
def test_a_quoted_figure_is_the_one_that_was_measured(quote):
    """Rounded as the page has it; whoever records a benchmark anew quotes it anew."""
    text = " ".join((ROOT / quote.page).read_text().split())
    figure = re.search(quote.words, text)
    assert figure, f"{quote.page} has no {quote.words}"
    section = BENCHMARKS.partition(f"\n## {quote.section}\n")[2].partition("\n## ")[0]
    digits = len(figure[1].partition(".")[2])

    assert f"{quote.measured(section) * quote.scale:.{digits}f}" == figure[1]


def test_each_page_that_leads_to_a_benchmark_quotes_it():
    """A link to a section stands behind a figure of it, which the test before compares."""
    linked = {
        (str(page.relative_to(ROOT)), section)
        for page in PAGES
        for section in re.findall(r"\]\([^)]*benchmarks\.md#([^)]+)\)", page.read_text())
    }

    assert linked == {(quote.page, quote.section) for quote in QUOTES}
