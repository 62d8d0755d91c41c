"""The users who may write to a folder, in words."""

import grp
import pwd
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


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
        writers.append(_name(pwd.getpwuid, status.st_uid) or f"user {status.st_uid}")
    if status.st_mode & stat.S_IWGRP:
        writers.append(f"group {_name(grp.getgrgid, status.st_gid) or status.st_gid}")
    if status.st_mode & stat.S_IWOTH:
        writers.append("anybody")
    return f"{folder} may be written by {', '.join(writers) or 'nobody but root'}"


def _name(look_up: Callable[[int], tuple[Any, ...]], number: int) -> str:
    """Return the first field of an account, its name; empty for one that nobody made."""
    with suppress(KeyError):
        return str(look_up(number)[0])
    return ""
