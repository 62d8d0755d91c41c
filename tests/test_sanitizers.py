"""The parts in C, compiled with sanitizers, in the tests that compare them with Python: no input faults on memory."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = {
    "_checksums": "test_checksums.py",
    "destinations/elasticsearch/_actions": "destinations/elasticsearch/test_actions.py",
    "destinations/fluentd/_msgpack": "destinations/fluentd/test_msgpack.py",
    "destinations/local/_terms": "destinations/local/index/test_terms.py",
    "destinations/loggly/_dated": "destinations/loggly/test_dated.py",
    "record/_speedups": "record/test_speedups.py",
    "record/_words": "record/test_speedups.py",
    "spool/_lines": "spool/test_lines.py",
    "spool/_mapping": "spool/test_writer.py",
}
FLAGS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
# Python keeps what it allocates for its own end; its small blocks are made visible by PYTHONMALLOC.
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:handle_sigbus=0:allow_user_segv_handler=1",
    "PYTHONMALLOC": "malloc",
    "DASHCAM_CONSOLE": "off",
}


def _compiler():
    """The C compiler, and the run time of its sanitizers, which has to be loaded before Python; None without one."""
    cc = shutil.which("gcc") or shutil.which("cc")
    if cc is None:
        return None
    asked = subprocess.run([cc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    library = Path(asked.stdout.strip())
    return (cc, library) if library.is_absolute() and library.exists() else None


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """A folder with the package, its parts in C compiled with sanitizers, and the environment to run it in."""
    if (found := _compiler()) is None:
        pytest.skip("no C compiler with sanitizers: install gcc with libasan")
    cc, library = found
    home = tmp_path_factory.mktemp("sanitized")
    shutil.copytree(ROOT / "src" / "dashcam", home / "dashcam", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for part in PARTS:
        source = home / "dashcam" / f"{part}.c"
        built = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
        include = ["-I", sysconfig.get_path("include")]
        subprocess.run([cc, *FLAGS, "-shared", "-fPIC", *include, source, "-o", built], check=True)
    return home, os.environ | OPTIONS | {"LD_PRELOAD": str(library), "PYTHONPATH": str(home)}


def test_every_part_is_here():
    """Those that setup.py builds."""
    names = {
        str(path.relative_to(ROOT / "src" / "dashcam").with_suffix("")) for path in ROOT.glob("src/dashcam/**/*.c")
    }

    assert names == PARTS.keys()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tests", sorted(set(PARTS.values())))
def test_no_fault_of_memory(sanitized, tests):
    """Neither a byte behind an end nor one that was freed, and nothing that C leaves undefined."""
    home, environment = sanitized
    for part in [part for part, of_part in PARTS.items() if of_part == tests]:
        name = f"dashcam.{part.replace('/', '.')}"
        command = [
            sys.executable,
            "-c",
            "import importlib, sys; print(importlib.import_module(sys.argv[1]).__file__)",
            name,
        ]
        where = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert where.stdout.startswith(str(home)), where.stderr

    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=600", f"tests/{tests}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
