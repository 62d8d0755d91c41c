"""A supervised command: `python -m demo.supervise CMD` runs it until it ends, or until standard input does.

Whoever holds the other end of that pipe can die in any way, the kernel closes it. That works on every platform, and
for whole process groups; Linux's parent-death signal does neither.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from threading import Thread

GRACE_S = 20  # gunicorn finishes the requests under way, the shipper waits 15 s for answers


def main() -> int:
    """Run the command; gives its exit status."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    Thread(target=_end_with_input, args=[process], daemon=True).start()
    status = process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it may have left behind
    return status


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    os.read(sys.stdin.fileno(), 1)  # unbuffered: a thread that holds a buffer's lock spoils the end of the process
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
