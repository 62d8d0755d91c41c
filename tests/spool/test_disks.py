"""Real disks, mounted from an image: full, without inodes, cut off. Needs root, mkfs and a loop device."""

import os
import shutil
import subprocess
from collections import Counter
from contextlib import contextmanager

import pytest

from dashcam.spool.drops import read_drops

from ..processes import run
from .spools import dropped, numbers_in, run_writer

IMAGE_BYTES = {"ext4": 64 << 20, "xfs": 320 << 20, "btrfs": 120 << 20}
LONG = pytest.mark.long


@contextmanager
def mounted(folder, kind):
    """An empty disk of a kind, and where it is mounted."""
    if os.geteuid() != 0 or not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"needs root, and mkfs.{kind} (e2fsprogs, xfsprogs, btrfs-progs)")
    image, mount = folder / "image", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES[kind])
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, mount], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount {kind} here: {done.stderr.strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


@pytest.fixture(params=IMAGE_BYTES)
def disk(request, tmp_path):
    with mounted(tmp_path, request.param) as mount:
        yield mount


SYNC = """
def sync():
    for path in sorted(Path(sys.argv[1]).glob("*/*/*.segment"))[-2:]:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
"""

# Fills the disk but for some room, then records while everything is synced again and again, as the shipper does.
FULL = (
    SYNC
    + """
writer = write_to(Path(sys.argv[1]), segment_bytes=2 << 20, is_mapped={is_mapped}, limit_bytes=1 << 40)
appended = 0
def append(count):
    global appended
    for _ in range(count):
        writer.append(log_line(appended, "x" * 200))
        appended += 1
append(100)
filler = os.open(Path(sys.argv[1]).parent / "filler", os.O_WRONLY | os.O_CREAT)
free = os.statvfs(sys.argv[1])
os.posix_fallocate(filler, 0, free.f_bavail * free.f_frsize * 9 // 10)
os.lseek(filler, 0, os.SEEK_END)
try:
    while True: os.write(filler, bytes(1 << 16))
except OSError: pass
os.ftruncate(filler, os.fstat(filler).st_size - {left})
os.fsync(filler)
for _ in range(30):
    append(500)
    sync()
print(appended)
os.ftruncate(filler, 0)
os.fsync(filler)
time.sleep(0.3)  # longer than the RETRY_S of a writer without room
append(100)
print(appended)
writer.close()
"""
)


@pytest.mark.parametrize(
    ("left", "is_mapped"),
    [
        pytest.param(0, True, id="nothing left, mapped"),
        pytest.param(1 << 20, False, id="1 MiB left, appended"),
        pytest.param(1 << 20, True, id="1 MiB left, mapped", marks=LONG),
        pytest.param(0, False, id="nothing left, appended", marks=LONG),
    ],
)
def test_a_full_disk(disk, left, is_mapped):
    """The process survives, each line is kept or counted, and all are kept again once there is room."""
    spool = disk / "spool"

    full, end = map(int, run_writer(FULL.format(left=left, is_mapped=is_mapped), spool).split())

    kept = numbers_in(spool)
    counts = Counter(dropped(spool)) + Counter(read_drops(spool))
    assert kept == sorted(set(kept))
    assert len(kept) + counts.total() == end
    assert counts.keys() == {"disk"}
    assert kept[-100:] == list(range(full, end))


def test_a_local_store_on_a_full_disk(tmp_path):
    """Its writer survives that a full btrfs has no room for the copy of a page that SQLite has in mapped memory."""
    with mounted(tmp_path, "btrfs") as disk:
        assert run(STORE_FULL, disk) == "is full, and goes on\n"


STORE_FULL = """
import os, sys
from pathlib import Path
from dashcam.destinations.local.backend import connect
from dashcam.destinations.local.options import Options
from dashcam.errors import BackendUnavailable
from dashcam.event import EncodedEvent
local, number, is_full = connect(Options(dir=Path(sys.argv[1]) / "state")), 0, False
def ship():
    global number
    events = []
    for _ in range(200):
        number += 1
        data = b'{"@timestamp":"2026-11-25T00:00:00.000000Z","message":"%b"}' % os.urandom(40).hex().encode()
        events.append(EncodedEvent(f"0193a1b2c3d4e5f601020304-{number:08d}", is_span=False, data=data))
    local.ship(events)
ship()
filler = os.open(Path(sys.argv[1]) / "filler", os.O_WRONLY | os.O_CREAT)
for size in (1 << 20, 1 << 12):
    try:
        while True: os.write(filler, bytes(size))
    except OSError: pass
    os.fsync(filler)
for _ in range(150):
    try:
        ship()
    except BackendUnavailable:
        is_full = True
os.ftruncate(filler, 0)
os.fsync(filler)
ship()
local.close()
print("is full, and goes on" if is_full else "never full")
"""


CUT_OFF = (
    SYNC
    + """
writer = write_to(Path(sys.argv[1]), segment_bytes=2 << 20, is_mapped={is_mapped}, limit_bytes=1 << 40)
import subprocess
for number in range(1000): writer.append(log_line(number))
sync()
subprocess.run(["xfs_io", "-x", "-c", "shutdown", Path(sys.argv[1]).parent], check=True)
for number in range(1000, 6000): writer.append(log_line(number))
writer.close()
print("alive")
"""
)


@pytest.mark.parametrize(
    ("kind", "is_mapped"),
    [
        pytest.param("ext4", False, id="ext4, appended"),
        pytest.param("xfs", True, id="xfs, mapped"),
        pytest.param("ext4", True, id="ext4, mapped", marks=LONG),
        pytest.param("xfs", False, id="xfs, appended", marks=LONG),
    ],
)
def test_a_disk_that_is_cut_off(tmp_path, monkeypatch, kind, is_mapped):
    """Every access is an error from one moment on: the process survives, and what it can count, it counts elsewhere."""
    if not shutil.which("xfs_io"):
        pytest.skip("needs xfs_io (xfsprogs)")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with mounted(tmp_path, kind) as disk:
        assert run_writer(CUT_OFF.format(is_mapped=is_mapped), disk / "spool") == "alive\n"

        # A mapping goes on in memory, where nobody can read it any more.
        counted = sum(read_drops(disk / "spool").values())
        assert counted == 5000 or is_mapped


NO_INODES = """
import itertools
writer = write_to(Path(sys.argv[1]), segment_bytes=64 << 10, limit_bytes=1 << 40)
writer.append(log_line(0))
try:
    for name in itertools.count(): os.close(os.open(Path(sys.argv[1]).parent / f"f{name}", os.O_CREAT))
except OSError: pass
for number in range(1, 5000): writer.append(log_line(number))
writer.close()
"""


def test_no_inode_left(tmp_path):
    """A segment that is full has no successor: its header counts what is dropped."""
    with mounted(tmp_path, "ext4") as disk:
        run_writer(NO_INODES, disk / "spool")

        assert len(numbers_in(disk / "spool")) + dropped(disk / "spool")["disk"] == 5000
