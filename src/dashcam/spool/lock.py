"""The lock that the writer of a segment holds while it lives.

An open file description lock (Linux, `fcntl_locking(2)`) belongs to the opened file and not to the process: closing
another descriptor of the file does not drop it, and it conflicts with one of the same process. Where there is none, a
POSIX lock is used. Only a write lock counts, which needs write permission: a user who may only read a segment cannot
make it look alive.
"""

import errno
import fcntl
import os
import struct

_FLOCK = struct.Struct("hhqqi4x")  # type, whence, start, length (0 is all), process (0 for this kind of lock)
_SET, _GET = getattr(fcntl, "F_OFD_SETLK", 0), getattr(fcntl, "F_OFD_GETLK", 0)
_QUESTION = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)  # asked of many segments, again and again


def lock(file: int) -> None:
    """Lock an open file for writing. Raises `OSError` if it is locked already."""
    if _SET:
        try:
            fcntl.fcntl(file, _SET, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as fault:
            if fault.errno != errno.EINVAL:
                raise
        else:
            return
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(file: int) -> bool:
    """Return whether a writer holds the lock of an open file; takes no lock where that can be asked without."""
    if _GET:
        try:
            found = fcntl.fcntl(file, _GET, _QUESTION)
        except OSError as fault:
            if fault.errno != errno.EINVAL:
                raise
        else:
            return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.lockf(file, fcntl.LOCK_UN)
    return False
