"""The disk below the local store: SQLite's own calls, counted, failing and lost in a power cut like any other.

SQLite asks the system through a table of functions, its VFS (https://www.sqlite.org/vfs.html). Those that change a file
are replaced while the simulation runs. They do not let others go first: SQLite's own frames lie in between.
"""

import ctypes
import errno
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path

from .machine import Crash

OK, IOERR, SQLITE_FULL = 0, 10, 13
OPEN_CREATE = 0x4
METHODS = 18  # functions of an open file, after the version
X_CLOSE, X_WRITE, X_TRUNCATE, X_SYNC = 0, 2, 3, 4

_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_CLOSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_bytes", ctypes.c_int),
        ("max_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("delete", ctypes.c_void_p),
    )


class _Methods(ctypes.Structure):
    _fields_ = (("version", ctypes.c_int), ("functions", ctypes.c_void_p * METHODS))


def _library():
    """Return SQLite as Python's module has it loaded, or `None` where it is part of the module."""
    sqlite3.connect(":memory:").close()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libsqlite3" in line:
            return ctypes.CDLL(line.split()[-1])
    return None


def _text(name):
    # SQLite goes on using the text where it is: it is handed on as the address that it came as.
    return os.fsdecode(ctypes.string_at(name)) if name else ""


class StoreDisk:
    """The calls of SQLite on a simulated disk."""

    def __init__(self, disk):
        self._disk = disk
        self._paths = {}  # of open files, by the address of SQLite's object
        self._tables = {}  # of functions: those of each kind of file, and ours in their place

    @contextmanager
    def installed(self):
        """Stand below SQLite for a while."""
        library = _library()
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None).contents
        self._real_open, self._real_delete = _OPEN(vfs.open), _DELETE(vfs.delete)
        kept = vfs.open, vfs.delete
        ours = _OPEN(self._open), _DELETE(self._delete)
        vfs.open, vfs.delete = (ctypes.cast(each, ctypes.c_void_p).value for each in ours)
        try:
            yield
        finally:
            vfs.open, vfs.delete = kept

    def _open(self, vfs, name, file, flags, out):
        path = _text(name)
        is_ours = self._disk.is_ours(path)
        if is_ours:
            is_new = bool(flags & OPEN_CREATE) and not self._disk.has(path)
            if status := self._try("create" if is_new else "open", path):
                return status
        status = self._real_open(vfs, name, file, flags, out)
        if status == OK and is_ours:
            if is_new:
                self._disk.note_new(path)
            self._paths[file] = path
            self._replace_functions(file)
        return status

    def _replace_functions(self, file):
        """Give an open file our functions: the pointer to their table is the first thing in SQLite's object."""
        pointer = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
        table = pointer[0]
        if table not in self._tables:
            real = _Methods.from_address(table)
            ours = _Methods.from_buffer_copy(real)
            close, write = _CLOSE(real.functions[X_CLOSE]), _WRITE(real.functions[X_WRITE])
            truncate, sync = _TRUNCATE(real.functions[X_TRUNCATE]), _SYNC(real.functions[X_SYNC])

            def closed(file):
                self._paths.pop(file, None)
                return close(file)

            def written(file, data, count, offset):
                return self._try("pwrite", self._paths[file]) or write(file, data, count, offset)

            def truncated(file, size):
                return self._try("ftruncate", self._paths[file]) or truncate(file, size)

            def synced(file, flags):
                return self._try("fsync", self._paths[file]) or self._note_synced(self._paths[file])

            functions = {X_CLOSE: _CLOSE(closed), X_WRITE: _WRITE(written)}
            functions |= {X_TRUNCATE: _TRUNCATE(truncated), X_SYNC: _SYNC(synced)}
            for number, function in functions.items():
                ours.functions[number] = ctypes.cast(function, ctypes.c_void_p).value
            self._tables[table] = ours, functions, (close, write, truncate, sync)
        pointer[0] = ctypes.addressof(self._tables[table][0])

    def _note_synced(self, path):
        self._disk.note_synced(path)
        return OK

    def _delete(self, vfs, name, is_synced):
        path = _text(name)
        if not self._disk.is_ours(path) or not self._disk.has(path):
            return self._real_delete(vfs, name, is_synced)
        if status := self._try("unlink", path):
            return status
        self._disk.note_unlinked(path)
        status = self._real_delete(vfs, name, 0)
        if is_synced:
            self._disk.note_synced(path.rpartition("/")[0])
        return status

    def _try(self, call, path):
        """Let a call begin; return SQLite's number of what is in its way."""
        try:
            self._disk.begin(call, path, may_switch=False)
        except OSError as fault:
            return SQLITE_FULL if fault.errno == errno.ENOSPC else IOERR
        except Crash:
            return IOERR  # the next call of Python's code ends it
        return OK
