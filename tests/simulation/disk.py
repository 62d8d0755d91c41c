"""The simulated disk: real files below one folder, seen through `os`, that lose in a power cut what was not synced.

Each function of `os` that names such a file, by its path or by an open file, can fail or be the last that its process
does. A power cut leaves each page of 4 KiB on its own as it was synced, or as it is now; and of what was done to names
(files made, renamed, removed) only a first part: a file system keeps their order, and each sync keeps all before it.
"""

import errno
import fcntl
import io
import os
import re
import shutil
import stat
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dashcam.spool.segment import boot_id

from .machine import CALL_NS, Crash

PAGE_BYTES = 4096
LOCK_S = 0.001  # between two looks at a lock that somebody holds
TICK_NS = 4_000_000  # the time stamps of files are that coarse

# The calls that change something, and those that only look.
WRITING = {"write", "pwrite", "ftruncate", "fsync", "rename", "unlink", "mkdir", "utime", "create"}
READING = {"open", "pread", "stat", "listdir", "scandir"}
CALLS = tuple(sorted(WRITING | READING))
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)

FULL, READ_ONLY, BROKEN = "full", "read-only", "broken"
_NEEDS_ROOM = {"write", "pwrite", "mkdir", "create", "rename"}

_KINDS = [
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"/spool/[^/]+/[^/]+/[0-9a-f]{24}\.segment$", "segment"),
        (r"/spool/[^/]+/[^/]+/\.[0-9a-f]{24}$", "unborn segment"),
        (r"/drops$|/dashcam-drops-", "drop counts"),
        (r"/positions/[^/.]+\.journal$", "checkpoint"),
        (r"/positions/\..*\.new$", "new checkpoint"),
        (r"/dead-letters/.*\.jsonl$", "dead letters"),
        (r"/dead-letters/.*\.replaying$", "letters being replayed"),
        (r"/dead-letters/.*", "replay journal"),
        (r"/\.?pruned(\.new)?$", "account"),
        (r"/\.?shipper\.", "heartbeat"),
        (r"/quarantine/", "quarantine"),
        (r"/[^/]*\.(db|sqlite)(-[a-z]+)?$", "store"),
    )
]


@lru_cache(maxsize=4096)
def kind_of(path):
    """Return what a file is to Dashcam."""
    return next((kind for pattern, kind in _KINDS if pattern.search(path)), "folder")


@dataclass
class Plan:
    """What the `number`-th call that fits does: an error, or the end of the process or of the machine."""

    action: object  # an error's number, "kill" or "cut"
    number: int = 1
    call: str | None = None
    kind: str | None = None
    is_after: bool = False
    name: str | None = None  # of the point that has to be reached

    def fits(self, call, kind, *, is_after):
        return is_after == self.is_after and self.call in {None, call} and self.kind in {None, kind}


class Disk:
    """A folder on the simulated disk; `plans` are faults to come, `state` one that lasts."""

    def __init__(self, machine, folder, cut, note):
        self.folder = str(folder)
        self.state = None
        self.room_pages = 0  # what is left of a full disk
        self.is_copying = False  # before each write: what is written in place needs room, too
        self.plans = []
        self.watched = set()  # calls, each with a kind of file, that are noted before they are made
        self.counts = Counter()
        self.reached = set()
        self.preemption = 0.0
        self._machine = machine
        self._cut = cut
        self._note = note
        self._trash = Path(f"{folder}.trash")
        self._trash.mkdir()
        self._real = {}
        self._paths = {}  # of open files
        self._owners = {}  # their processes
        self._synced = {}  # content, by inode
        self._pending = []  # what is to be done to names so that they are as before
        self._links = 0
        self._is_frozen = False

    # The calls.

    @contextmanager
    def installed(self):
        """Stand before `os` for a while."""
        by_path = ("stat", "lstat", "listdir", "scandir", "chmod")
        by_file = ("write", "pwrite", "ftruncate", "fsync", "pread", "fstat", "fchmod")
        wrappers = {name: self._by_path(name) for name in by_path} | {name: self._by_file(name) for name in by_file}
        wrappers |= {name: getattr(self, f"_{name}") for name in ("open", "close", "unlink", "mkdir", "utime")}
        wrappers |= {name: self._move(name) for name in ("rename", "replace")}
        wrappers |= {"getpid": self._getpid, "statvfs": self._statvfs}
        self._real = {name: getattr(os, name) for name in wrappers} | {"io": io.open, "flock": fcntl.flock}
        for name, wrapper in wrappers.items():
            setattr(os, name, wrapper)
        io.open, fcntl.flock = self._open_io, self._flock
        try:
            yield
        finally:
            io.open, fcntl.flock = self._real["io"], self._real["flock"]
            for name in wrappers:
                setattr(os, name, self._real[name])

    def is_ours(self, path):
        """Whether a path is below the folder, and asked for by one of the machine's threads."""
        current = self._machine.current
        return current is not None and not current.process.is_outside and path.startswith(self.folder)

    def has(self, path):
        """Whether there is such a name."""
        try:
            self._real["lstat"](path)
        except FileNotFoundError:
            return False
        return True

    def begin(self, call, path, *, may_switch=True, is_in_place=False):
        """Let a call begin: it takes time, others may go first, and it may fail."""
        machine, kind = self._machine, kind_of(path)
        machine.check()
        if self._is_frozen:
            raise Crash
        machine.now_ns += CALL_NS
        self.counts[call, kind] += 1
        if may_switch and self.preemption and machine.dice.random() < self.preemption:
            machine.pass_turn()
        if (call, kind) in self.watched:
            self._note(call, kind)
        if self.state:
            self._fail_by_state(call, path, needs_room=call in _NEEDS_ROOM and (self.is_copying or not is_in_place))
        if self.plans:
            self._follow_plans(call, path, is_after=False)

    def _end(self, call, path):
        if self.plans:
            self._follow_plans(call, path, is_after=True)

    def _fail_by_state(self, call, path, *, needs_room):
        if self.state == FULL and needs_room:
            if self.room_pages <= 0:
                self._fail(errno.ENOSPC, call, path)
            self.room_pages -= 1
        if self.state == READ_ONLY and call in WRITING:
            self._fail(errno.EROFS, call, path)
        if self.state == BROKEN and call in {"fsync", "write", "pwrite", "pread"} and self._machine.dice.random() < 0.3:
            self._fail(errno.EIO, call, path)

    def _follow_plans(self, call, path, *, is_after):
        kind = kind_of(path)
        for plan in [plan for plan in self.plans if plan.fits(call, kind, is_after=is_after)]:
            plan.number -= 1
            if plan.number <= 0:
                self.plans.remove(plan)
                self.reached |= {plan.name} - {None}
                self._follow(plan, call, path)

    def _follow(self, plan, call, path):
        if plan.action == "cut":
            self._note(call, kind_of(path), "cut")
            self._cut()
            raise Crash
        if plan.action == "kill":
            process = self._machine.current.process
            self._note(call, kind_of(path), "kill")
            self._machine.kill(process)
        self._fail(plan.action, call, path)

    def _fail(self, error, call, path):
        self._note(call, kind_of(path), errno.errorcode[error])
        raise OSError(error, os.strerror(error), path)

    def _by_path(self, name):
        call = {"lstat": "stat", "chmod": "utime"}.get(name, name)

        def wrapper(path=".", *arguments, **options):
            real = self._real[name]
            if isinstance(path, int) or not self.is_ours(text := os.fspath(path)):
                return real(path, *arguments, **options)
            self.begin(call, text)
            result = real(path, *arguments, **options)
            return sorted(result) if name == "listdir" else result

        return wrapper

    def _by_file(self, name):
        call = {"fstat": "stat", "fchmod": "utime"}.get(name, name)

        def wrapper(file, *arguments):
            real, path = self._real[name], self._paths.get(file)
            if path is None or not self.is_ours(path):
                return real(file, *arguments)
            was_dead = self._machine.current.process.is_dead
            is_in_place = name == "pwrite" and arguments[1] + len(arguments[0]) <= self._size(file)
            try:
                self.begin(call, path, is_in_place=is_in_place)
            except (Crash, OSError) as end:
                if name == "write" and not was_dead and self._is_torn(end):
                    size = self._machine.dice.randrange(len(arguments[0]) + 1)
                    written = real(file, arguments[0][:size])
                    if isinstance(end, OSError) and written:
                        return written
                raise
            if name == "fsync":
                self.note_synced(path, file)
            if name == "ftruncate":
                self.room_pages += max(0, self._size(file) - arguments[0]) // PAGE_BYTES
            result = real(file, *arguments) if name != "fsync" else None
            self._end(call, path)
            return result

        return wrapper

    def _size(self, file):
        return self._real["fstat"](file).st_size

    def _is_torn(self, end):
        """Whether a part of what should be written is: on a full disk, or when the process is killed in the middle."""
        return isinstance(end, Crash) or end.errno == errno.ENOSPC

    def _open(self, path, flags, mode=0o777, **options):
        text = os.fspath(path)
        if not self.is_ours(text):
            file = self._real["open"](path, flags, mode, **options)
            self._paths.pop(file, None)
            return file
        is_new = bool(flags & os.O_CREAT) and not self.has(text)
        self.begin("create" if is_new else "open", text)
        file = self._real["open"](path, flags, mode, **options)
        self._paths[file] = text
        self._owners[file] = self._machine.current.process
        if is_new:
            self.note_new(text)
        self._end("create" if is_new else "open", text)
        return file

    def _open_io(self, path, mode="r", *arguments, **options):
        text = os.fspath(path) if not isinstance(path, int) else ""
        if text == "/proc/sys/kernel/random/boot_id":
            return io.StringIO(f"{self._machine.boot:036d}\n")
        if not text or not self.is_ours(text):
            return self._real["io"](path, mode, *arguments, **options)
        is_new = "a" in mode and not self.has(text)
        self.begin("create" if is_new else "open", text)
        stream = self._real["io"](path, mode, *arguments, **options)
        self._paths[stream.fileno()] = text
        if is_new:
            self.note_new(text)
        return stream

    def _close(self, file):
        self._paths.pop(file, None)
        self._owners.pop(file, None)
        self._real["close"](file)

    def _unlink(self, path, **options):
        text = os.fspath(path)
        if not self.is_ours(text) or not self.has(text):
            return self._real["unlink"](path, **options)
        self.begin("unlink", text)
        self.note_unlinked(text)
        self._real["unlink"](path, **options)
        self._touch(_folder_of(text))
        return self._end("unlink", text)

    def _move(self, name):
        def wrapper(old, new, **options):
            before, after = os.fspath(old), os.fspath(new)
            if not self.is_ours(after):
                return self._real[name](old, new, **options)
            self.begin("rename", after)
            kept = self._keep(after) if self.has(after) else None
            self._real[name](old, new, **options)
            self._touch(_folder_of(after))
            self._touch(_folder_of(before))

            def undo():
                self._real["rename"](after, before)
                if kept:
                    self._real["rename"](kept, after)

            self._pending.append(undo)
            return self._end("rename", after)

        return wrapper

    def _mkdir(self, path, *arguments, **options):
        text = os.fspath(path)
        if self.is_ours(text):
            self.begin("mkdir", text)
        self._real["mkdir"](path, *arguments, **options)
        if self.is_ours(text):
            self._touch(text)
            self._touch(_folder_of(text))

    def _utime(self, path, times=None, **options):
        text = self._paths.get(path) if isinstance(path, int) else os.fspath(path)
        if text is None or not self.is_ours(text):
            return self._real["utime"](path, times, **options)
        self.begin("utime", text)
        return self._real["utime"](path, ns=(self._machine.time_ns(),) * 2)

    def _flock(self, file, operation):
        """Wait as a thread of the machine waits, where the real call would keep all of them waiting."""
        while True:
            try:
                return self._real["flock"](file, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if operation & fcntl.LOCK_NB or not self._machine.current:
                    raise
                self._machine.sleep(LOCK_S)

    def _getpid(self):
        current = self._machine.current
        return current.process.pid if current else self._real["getpid"]()

    def _statvfs(self, path):
        """Say how much room there is, as `shutil.disk_usage` asks."""
        free = self.room_pages if self.state == FULL else 1 << 20
        return os.statvfs_result((PAGE_BYTES, PAGE_BYTES, 1 << 22, free, free, 1 << 20, 1 << 20, 1 << 20, 0, 255))

    # What the disk keeps.

    def _keep(self, path):
        """Give a file that is about to go a name elsewhere, until its end is on the disk."""
        self._links += 1
        kept = self._trash / str(self._links)
        os.link(path, kept)
        return kept

    def note_new(self, path):
        """A file was made: a power cut may take its name."""
        self._touch(path)
        self._touch(_folder_of(path))
        self._pending.append(lambda: self._real["unlink"](path))

    def note_unlinked(self, path):
        """A file is about to be removed: a power cut may bring it back."""
        kept = self._keep(path)
        self._pending.append(lambda: self._real["rename"](kept, path))
        self.room_pages += self._real["stat"](path).st_size // PAGE_BYTES

    def _touch(self, path):
        now_ns = self._machine.time_ns() // TICK_NS * TICK_NS
        self._real["utime"](path, ns=(now_ns, now_ns))

    def note_synced(self, path, file=None):
        """Keep the content of a file, and all that was done to names so far."""
        # An open file may have another name by now, or none.
        opened = self._real["open"](path if file is None else f"/proc/self/fd/{file}", os.O_RDONLY)
        status = self._real["fstat"](opened)
        if not stat.S_ISDIR(status.st_mode):
            self._synced[status.st_ino] = self._real["pread"](opened, status.st_size, 0)
        self._real["close"](opened)
        if self._pending:
            self._commit()

    def _commit(self):
        self._pending.clear()
        for kept in self._real["listdir"](self._trash):
            self._real["unlink"](self._trash / kept)

    def synced_content(self, path):
        """Return what a power cut cannot take of a file."""
        return self._synced.get(self._real["stat"](path).st_ino, b"")

    def files(self):
        """Return all files, in the order of their names."""
        return [path for path in sorted(Path(self.folder).rglob("*")) if path.is_file()]

    def release(self, process):
        """Close what a process had open, as the system does: nothing is written by that."""
        self._is_frozen = True
        for backend in process.backends:
            backend.close()
        self._is_frozen = False
        for writer in process.writers:
            if writer._segment:
                writer._segment._lines.close()
            writer._reset()
        for file in [file for file, owner in self._owners.items() if owner is process]:
            self._close(file)

    def lose_power(self):
        """Leave what a power cut leaves; no process may have a file open."""
        dice = self._machine.dice
        kept = dice.randint(0, len(self._pending))
        for undo in reversed(self._pending[kept:]):
            undo()
        self._commit()
        left = {}
        for path in self.files():
            if path.name.endswith("-shm"):
                path.unlink()
                continue
            now, synced = path.read_bytes(), self.synced_content(path)
            if now != synced:
                left[path.stat().st_ino] = data = _mixed(now, synced, dice)
                path.write_bytes(data)
            else:
                left[path.stat().st_ino] = now
        self._synced = left
        boot_id.cache_clear()

    def remove(self):
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._trash, ignore_errors=True)


def _folder_of(path):
    return path.rpartition("/")[0]


def _mixed(now, synced, dice):
    size = len(dice.choice((now, synced)))
    pages = []
    for at in range(0, size, PAGE_BYTES):
        page = (now if dice.random() < 0.5 else synced)[at : at + PAGE_BYTES]
        pages.append(page.ljust(min(PAGE_BYTES, size - at), b"\0")[: size - at])
    return b"".join(pages)
