"""Files in the spool that no writer of ours put there: each costs itself alone, and nobody waits for it."""

import os
from pathlib import Path

import pytest

from dashcam.spool.reader import SegmentReader, segment_files

from .spools import log_line, write_to

ID = "0193a1b2c3d4e5f601020304"


@pytest.fixture
def segment(tmp_path):
    """A good segment."""
    writer = write_to(tmp_path)
    writer.append(log_line(1))
    writer.close()
    (path,) = segment_files(tmp_path)
    return path


def _fifo(path):
    os.mkfifo(path)


def _link(path):
    path.symlink_to("/etc/passwd")


def _dangling(path):
    path.symlink_to("nowhere")


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(20 << 30)


BAD = [_fifo, _link, _dangling, _sparse, lambda path: path.touch(), lambda path: path.mkdir()]


@pytest.mark.parametrize("make", BAD)
def test_a_file_that_is_not_a_segment(tmp_path, make):
    """It is neither followed nor waited for."""
    path = tmp_path / f"{ID}.segment"
    make(path)
    before = len(list(Path("/dev/fd").iterdir()))

    with pytest.raises((ValueError, OSError)):
        SegmentReader(path)

    assert len(list(Path("/dev/fd").iterdir())) == before


def _place(path):
    with SegmentReader(path) as reader:
        reader.check_place()


def test_a_good_segment(segment):
    """Header, name and folder agree."""
    _place(segment)


def test_a_segment_under_the_name_of_another(segment):
    """It would take the place of that one."""
    other = segment.with_name(f"{ID}.segment")
    segment.rename(other)

    with pytest.raises(ValueError, match="its header is that of segment"):
        _place(other)


def test_a_segment_in_the_folder_of_another_service(segment):
    """Its events would appear under the name of that one."""
    folder = segment.parents[1] / "parts"
    folder.mkdir()
    segment.rename(folder / segment.name)

    with pytest.raises(ValueError, match="its header is that of service cars"):
        _place(folder / segment.name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_segment_of_a_stranger(segment):
    """Only the owner of the folder and root are expected there."""
    os.chown(segment.parent, 12001, 12001)
    os.chown(segment, 12001, 12001)
    _place(segment)
    os.chown(segment, 12002, 12001)

    with pytest.raises(ValueError, match="it belongs to user 12002"):
        _place(segment)

    segment.parent.chmod(0o2770)  # the administrator lets the group write
    _place(segment)
