"""The users who may write to a folder, in words."""

import grp
import pwd
import stat
from contextlib import suppress
from pathlib import Path


def who_may_write(folder: Path) -> str:
    """Return who may write to a folder, or to the nearest one above that exists.

    >>> who_may_write(Path("/usr/bin"))
    '/usr/bin may be written by root'
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    status = folder.stat()
    writers = []
    if status.st_mode & stat.S_IWUSR or status.st_uid == 0:
        writers.append(_user(status.st_uid))
    if status.st_mode & stat.S_IWGRP:
        writers.append(f"group {_group(status.st_gid)}")
    if status.st_mode & stat.S_IWOTH:
        writers.append("anybody")
    return f"{folder} may be written by {', '.join(writers) or 'nobody but root'}"


def _user(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"user {uid}"


def _group(gid: int) -> str:
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)
