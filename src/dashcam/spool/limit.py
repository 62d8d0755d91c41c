"""The size that a process may give a file: a write beyond it raises SIGXFSZ, which ends a server that embeds Python."""

import errno
import os
from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit


def check_size(size: int) -> None:
    """Raise `OSError` if no file of this process may have so many bytes."""
    limit = getrlimit(RLIMIT_FSIZE)[0]
    if limit != RLIM_INFINITY and size > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
