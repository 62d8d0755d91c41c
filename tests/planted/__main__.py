"""Plant each bug, run the tests that have to notice it, and count: `python -m tests.planted [--record] [WORD ...]`.

Words choose the bugs whose file or description has one of them. Exit status 1 if fewer than 95 % are caught, or a bug
cannot be tried because its tests fail without it or do not run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import ROOT, bugs

PAGE = ROOT / "docs" / "testing.md"
HEAD = "<!-- planted bugs -->\n"
MIN_CAUGHT = 0.95
TIMEOUT_S = 600  # pytest ends a test that hangs long before; on a busy machine all of them together may take as long
PASSED, FAILED = 0, 1  # pytest's exit statuses
TOO_LONG = "took too long"


def copy_of_the_tree(folder):
    """Copy what git knows, and the compiled parts, which it does not."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    compiled = [path.relative_to(ROOT) for path in ROOT.glob("src/**/*.so")]
    for name in [*map(Path, filter(None, listed.decode().split("\0"))), *compiled]:
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)


def run_tests(folder, tests):
    """Run tests in a copy; the exit status of pytest, `TOO_LONG` when there was none in time."""
    sources = [folder / "src", *folder.glob("services/*/src"), folder]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sources))}
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return TOO_LONG


class Copy:
    """A copy of the tree, in which one file at a time has other text."""

    def __init__(self, folder):
        self.folder = folder
        self._time = 1_000_000_000
        copy_of_the_tree(folder)

    def write(self, file, text):
        """Put a text in place of a file's. Python compiles it anew, because its time is another."""
        path = self.folder / file
        path.write_text(text)
        self._time += 10
        os.utime(path, (self._time, self._time))
        if path.suffix == ".c":
            command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--force"]
            subprocess.run(command, cwd=self.folder, capture_output=True, check=True)

    def try_bug(self, bug):
        """Plant a bug; "caught", "missed", or why it could not be tried."""
        text = (ROOT / bug.file).read_text()
        self.write(bug.file, bug.planted(text))
        status = run_tests(self.folder, bug.tests)
        self.write(bug.file, text)
        return {PASSED: "missed", FAILED: "caught"}.get(status, f"pytest ended with {status}")


def record(results):
    """Write the table into docs/testing.md, below its marker; a bug that was not tried now keeps its former row."""
    head, _, table = PAGE.read_text().partition(HEAD)
    known = dict(re.findall(r"^\| (.+?) \| .* \| (.+?) \|$", table, re.MULTILINE)) | results
    rows = [(bug, known.get(bug.wrong, "not tried yet")) for bug in bugs()]
    caught = sum(result == "caught" for _, result in rows)
    lines = [f"{caught} of {len(rows)} were caught, at the last count on {time.strftime('%Y-%m-%d')}.", ""]
    lines += ["| what would be wrong | file | planted bug |", "|---|---|---|"]
    lines += [f"| {bug.wrong} | [{Path(bug.file).name}](../{bug.file}) | {result} |" for bug, result in rows]
    PAGE.write_text(head + HEAD + "\n" + "\n".join(lines) + "\n")


def main():
    """Try the bugs; an exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the table into docs/testing.md")
    parser.add_argument("word", nargs="*", help="only bugs whose file or description has one of these words")
    options = parser.parse_args()
    chosen = [bug for bug in bugs() if not options.word or any(word in bug.file + bug.wrong for word in options.word)]
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy, results = Copy(Path(folder)), {}
        broken = [tests for tests in dict.fromkeys(bug.tests for bug in chosen) if run_tests(copy.folder, tests)]
        for tests in broken:
            print("fails without any bug:", *tests)
        for bug in chosen:
            result = results[bug.wrong] = "its tests fail without it" if bug.tests in broken else copy.try_bug(bug)
            print(f"{result:8} {bug.file}: {bug.wrong}", flush=True)
            if options.record:
                record(results)
    caught = sum(result == "caught" for result in results.values())
    print(f"{caught} of {len(results)} planted bugs are caught")
    is_tried = all(result in {"caught", "missed"} for result in results.values())
    return 0 if is_tried and caught >= MIN_CAUGHT * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
