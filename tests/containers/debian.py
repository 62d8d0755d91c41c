"""What Debian's packages bring to this machine: programs, and root file systems to make images of."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dashcam-containers"
SUITE = "trixie"
INCLUDED = "python3,python3-venv,ca-certificates,curl,nginx-light"
HERE = Path(__file__).parent
# What was made by another text of the recipes is made again.
TEXTS = sorted([HERE / "debian.py", HERE / "kibana.py", *HERE.glob("*_images.py"), *HERE.glob("*.sh")])
RECIPE = hashlib.sha256(b"".join(path.read_bytes() for path in TEXTS)).hexdigest()


class Unavailable(Exception):
    """This machine has no engine and cannot be given one; the text says what is missing."""


def run(*command: object, limit_s: float = 600) -> None:
    """Run a command that gets something. Raises `Unavailable` where it fails."""
    words = list(map(str, command))
    try:
        done = subprocess.run(words, text=True, capture_output=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"cannot be prepared: {error}") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise Unavailable(f"cannot be prepared: {words[0]} ended with {done.returncode}: {last}")


def install(*packages: str) -> None:
    """Install packages, unless they are there."""
    if os.geteuid() or not shutil.which("apt-get"):
        raise Unavailable("needs a container engine with compose: none answers, and it takes root on Debian to add one")
    if subprocess.run(["dpkg", "--status", *packages], capture_output=True, check=False).returncode:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages)


def root(flavour: str, make: Callable[[Path], None]) -> Path:
    """A root file system, made once."""
    folder = CACHE / f"root-{flavour}"
    made = folder / ".made"
    if not (made.exists() and made.read_text() == RECIPE):
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        made.write_text(RECIPE)
    return folder


def plain() -> Path:
    """A small Debian with Python and nginx."""
    return root("plain", _bootstrap)


def derived(flavour: str, change: Callable[[Path], None]) -> Path:
    """A copy of the plain one, changed."""

    def make(folder: Path) -> None:
        run("cp", "-a", plain(), folder)
        change(folder)

    return root(flavour, make)


def run_in(folder: Path, script: str) -> None:
    """Run a script with a root file system as its own."""
    run("chroot", folder, "sh", "-euc", script)


def extract(package: str, target: Path) -> None:
    """Lay the files of a package of the bootstrap's release below a folder."""
    folder = plain()
    run_in(folder, f"cd /tmp; apt-get update -qq; apt-get download -qq {package}")
    archive = next((folder / "tmp").glob(f"{package}_*.deb"))
    run("dpkg", "--extract", archive, target)
    archive.unlink()


def _bootstrap(folder: Path) -> None:
    install("debootstrap")
    folder.parent.mkdir(parents=True, exist_ok=True)
    run("debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, folder)
    (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    _take_packages(folder)
    authorities = Path("etc/ssl/certs/ca-certificates.crt")
    shutil.copy(Path("/") / authorities, folder / authorities)  # this machine's own may be among them
    run_in(folder, "groupadd --gid 101 nginx; useradd --uid 101 --gid 101 nginx; apt-get clean")


def add_packages(folder: Path, packages: str) -> None:
    """Install packages in a root file system."""
    run_in(folder, f"apt-get update -qq; apt-get install -qq -y --no-install-recommends {packages}; apt-get clean")
    _take_packages(folder)


def _take_packages(folder: Path) -> None:
    for marker in (folder / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()  # the real image's Python is not Debian's, and takes packages
