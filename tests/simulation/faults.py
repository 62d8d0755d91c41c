"""The seam between the shipper and the file system: each call is counted, and one of them fails or is the last one."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

PAGE_BYTES = 4096
CALLS = ("fsync", "write", "replace", "unlink", "ftruncate")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)


class Crash(BaseException):
    """The process was killed, or the machine lost its power, at this point."""


class Disk:
    """A folder whose files are synced or not, page by page; `plan` decides what the n-th call of a kind does."""

    def __init__(self, folder):
        self.folder = folder
        self.plan = None
        self.reached = set()
        self._synced = {}
        self._counts = {}

    @contextmanager
    def watched(self, plan=None):
        """Count calls below the folder; `plan` is a call, its number, an error (or `None`), before or after."""
        real = {name: getattr(os, name) for name in CALLS}
        self.plan, self._counts = plan, dict.fromkeys(CALLS, 0)
        for name in CALLS:
            setattr(os, name, self._wrapped(name, real[name]))
        try:
            yield
        finally:
            for name in CALLS:
                setattr(os, name, real[name])
            self.plan = None

    def _wrapped(self, name, call):
        def wrapped(target, *arguments, **options):
            path = Path(f"/proc/self/fd/{target}").readlink() if isinstance(target, int) else Path(target)
            if self.folder not in path.parents:
                return call(target, *arguments, **options)
            self._counts[name] += 1
            self._fail(name, path, is_after=False)
            if name in {"unlink", "replace"}:
                self._forget(Path(arguments[0]) if arguments else path)  # another file may get its number
            result = call(target, *arguments, **options)
            if name == "fsync" and path.is_file():
                self._synced[os.fstat(target).st_ino] = path.read_bytes()
            self._fail(name, path, is_after=True)
            return result

        return wrapped

    def _forget(self, path):
        if path.exists():
            self._synced.pop(path.stat().st_ino, None)

    def _fail(self, name, path, *, is_after):
        if self.plan is None:
            return
        call, number, error, when = self.plan
        if (name, self._counts[name], is_after) == (call, number, when):
            self.reached.add((name, path.suffix or path.name, "crash" if error is None else errno.errorcode[error]))
            self.plan = None
            if error is None:
                raise Crash
            raise OSError(error, os.strerror(error), str(path))

    def cut_power(self, dice):
        """Leave of each file what a power cut leaves: each page on its own as it was synced, or as it is."""
        left = {}
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            now, synced = path.read_bytes(), self._synced.get(path.stat().st_ino, b"")
            pages = range(0, len(now), PAGE_BYTES)
            kept = [(now if dice.random() < 0.5 else synced)[at : at + PAGE_BYTES] for at in pages]
            sizes = [min(PAGE_BYTES, len(now) - at) for at in pages]
            data = b"".join(page.ljust(size, b"\0")[:size] for page, size in zip(kept, sizes, strict=True))
            new = path.with_name(f".cut{path.name}")
            new.write_bytes(data)
            new.replace(path)
            left[path] = data
        self._synced = {path.stat().st_ino: data for path, data in left.items()}
