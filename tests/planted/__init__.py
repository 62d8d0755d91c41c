"""Small bugs, planted one after another in a copy of the tree: do the tests notice?

`bugs.toml` has the table: what would be wrong, the file, its text, the text in its place, and the tests that have to
fail. `python -m tests.planted` (`make planted-bugs`) plants each, runs those tests, and counts.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("bugs.toml")


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake: `old`, which stands once in `file`, replaced by `new`; `tests` are arguments of pytest."""

    wrong: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, text):
        """Return the text of the file with the bug in it."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {self.old!r} {text.count(self.old)} times, not once")
        return text.replace(self.old, self.new)


def bugs():
    """Return the bugs of the table, in its order."""
    table = tomllib.loads(TABLE.read_text())
    return [
        Bug(row["wrong"], section["file"], row["old"], row["new"], tuple(row.get("tests", section["tests"])))
        for section in table["section"]
        for row in section["bug"]
    ]
