"""A file system of its own, on a file: one that can be filled, made read-only, and seen to recover."""

import shutil
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

SIZES_MB = {"ext4": 96, "xfs": 320, "btrfs": 160}  # the least that each of them likes


@contextmanager
def mounted(kind, folder, times=1):
    """The folder of a new file system of one kind, or a plain folder for `none`; needs root and its mkfs.

    It has `times` the least room that such a file system can have.
    """
    mount, image = folder / "disk", folder / f"{kind}.img"
    mount.mkdir()
    if kind == "none":
        yield Disk(mount, is_real=False)
        return
    with image.open("wb") as file:
        file.truncate(times * SIZES_MB[kind] << 20)
    _run(f"mkfs.{kind}", "-q", image)
    _run("mount", "-o", "loop", image, mount)
    try:
        yield Disk(mount, is_real=True)
    finally:
        _run("umount", "--lazy", mount)


def why_not(kind):
    """Why this machine cannot have such a disk; empty if it can."""
    if kind == "none":
        return ""
    if not shutil.which(f"mkfs.{kind}"):
        return f"mkfs.{kind} is missing: install e2fsprogs, xfsprogs or btrfs-progs"
    done = subprocess.run(["losetup", "--find"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no loop device: {done.stderr.strip()}"


class Disk:
    """A folder on the file system, and what can be done to it."""

    def __init__(self, folder: Path, *, is_real: bool) -> None:
        self.folder, self.is_real = folder, is_real

    def fill(self):
        """Take all room that is left."""
        with suppress(OSError), (self.folder / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))

    def free(self):
        """Give the room back."""
        (self.folder / "filling").unlink(missing_ok=True)

    def lock(self):
        """Allow no writing; refused while a file is open for writing, which is fine: then nothing happens."""
        subprocess.run(["mount", "-o", "remount,ro", self.folder], capture_output=True, check=False)

    def unlock(self):
        """Allow it again."""
        _run("mount", "-o", "remount,rw", self.folder)


def _run(*command):
    subprocess.run(command, capture_output=True, check=True)
