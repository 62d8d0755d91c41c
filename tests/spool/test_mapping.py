"""The compiled half of a segment's file: what it refuses, and what is left where a page is lost."""

import fcntl
import importlib.machinery
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

_mapping = pytest.importorskip(
    "dashcam.spool._mapping", reason="_mapping.c was not compiled; `make venv` with a C compiler does"
)
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def path(tmp_path):
    """Two pages of a file."""
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * PAGE_BYTES))
    return path


def _mapping_of(path, module=_mapping):
    mapping = module.Mapping(path, 2 * PAGE_BYTES)
    mapping.allow(2 * PAGE_BYTES)
    return mapping


def test_a_line_over_a_lost_page_leaves_no_half_of_it(path):
    """What it had written into the page before is taken back, and it does not count."""
    mapping = _mapping_of(path)
    mapping.append(b"a" * (PAGE_BYTES - 5) + b"\n")
    os.truncate(path, PAGE_BYTES)

    with pytest.raises(ValueError, match="changed by somebody else"):
        mapping.append(b"b" * 20 + b"\n")

    assert path.read_bytes() == b"a" * (PAGE_BYTES - 5) + b"\n" + bytes(4)
    assert (mapping.lines, mapping.end, mapping.limit, mapping.is_lost) == (1, PAGE_BYTES - 4, 0, True)


def test_a_forked_child_cannot_fill_the_file_of_its_parent(path):
    """It has no mapping: an error, and not a fault that ends it."""
    mapping = _mapping_of(path)

    child = os.fork()
    if not child:
        try:
            mapping.append(b"of the child\n")
        except ValueError:
            os._exit(0)
        os._exit(1)

    assert os.waitpid(child, 0) == (child, 0)
    mapping.append(b"of the parent\n")
    assert path.read_bytes().startswith(b"of the parent\n")


def test_only_what_stands_there_is_replaced(path):
    """An offset behind the end is refused."""
    mapping = _mapping_of(path)
    mapping.append(b"0123456789")

    mapping.put(8, b"xy")
    for at, text in [(9, b"xy"), (11, b""), (2 * PAGE_BYTES, b"x")]:
        with pytest.raises(ValueError, match="nothing stands there yet"):
            mapping.put(at, text)

    assert path.read_bytes()[:12] == b"01234567xy\0\0"


def test_the_file_is_not_followed_and_not_kept_open(path):
    """A link in its place is refused; where the lock needs no descriptor, none is open."""
    link = path.with_name("link")
    link.symlink_to(path)
    before = set(Path("/dev/fd").iterdir())

    with pytest.raises(OSError, match="link"):
        _mapping_of(link)
    mapping = _mapping_of(path)

    if hasattr(fcntl, "F_OFD_SETLK"):
        assert set(Path("/dev/fd").iterdir()) == before
    mapping.close()


def test_a_library_with_a_handler_of_its_own_that_comes_later(path, tmp_path):
    """It passes on what is not its own, with the address: here a second copy of the module is that library."""
    mapping = _mapping_of(path)
    copy, theirs = tmp_path / "_mapping.so", tmp_path / "theirs"
    shutil.copy(_mapping.__file__, copy)
    theirs.write_bytes(bytes(2 * PAGE_BYTES))
    loader = importlib.machinery.ExtensionFileLoader("_mapping", str(copy))
    other = importlib.util.module_from_spec(importlib.util.spec_from_loader("_mapping", loader))
    loader.exec_module(other)
    their_mapping = _mapping_of(theirs, other)
    os.truncate(path, 0)
    os.truncate(theirs, 0)

    for each in (mapping, their_mapping):
        with pytest.raises(ValueError, match="changed by somebody else"):
            each.append(b"a line\n")
