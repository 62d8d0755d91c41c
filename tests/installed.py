"""The package as a user has it, installed from a wheel or an sdist: run with an interpreter that knows nothing else.

    clean/bin/python tests/installed.py

It records a line, delivers it, and finds it again, all in a folder of its own; exit status 1 says what is missing.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import files, version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
RECORD = """
import dashcam
dashcam.init("wheel")
dashcam.get_logger("wheel").info("recorded from a wheel", car_id=7)
"""


def main() -> str:
    """Go through the package; what is wrong with it, or an empty string."""
    import dashcam

    if CHECKOUT in Path(dashcam.__file__).resolve().parents and "site-packages" not in dashcam.__file__:
        return f"this is the checkout, not an installed package: {dashcam.__file__}"
    for part in ("dashcam/record/_*.so", "dashcam/spool/_*.so"):
        if not any(file.match(part) for file in files("dashcam") or ()):
            return f"the part in C is missing, {part}: is there a compiler?"
    with tempfile.TemporaryDirectory(prefix="dashcam-installed-") as folder:
        return _record_and_find(folder)


def _record_and_find(folder: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DASHCAM_", "LOG_"))}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment | {"DASHCAM_DIR": folder},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    run("-c", RECORD)
    run("-m", "dashcam", "ship", "--drain")
    found = [json.loads(line) for line in run("-m", "dashcam", "search", "car_id:7", "--json").splitlines()]
    if [event["message"] for event in found] != ["recorded from a wheel"]:
        return f"found {found}"
    command = str(Path(sys.executable).with_name("dashcam"))
    printed = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return "" if version("dashcam") in printed else f"{command} --version prints {printed!r}"


if __name__ == "__main__":
    sys.exit(main() or None)
