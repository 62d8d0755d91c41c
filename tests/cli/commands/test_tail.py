"""`dashcam tail`: events as they arrive."""

import json
import subprocess
import sys


def test_tail_begins_with_the_newest(store):
    """Those before the command started, as many as are wanted."""
    store(*[(1 - number / 10, f"car {number}") for number in range(5)])
    command = [sys.executable, "-m", "dashcam", "tail", "-n", "2", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = [json.loads(process.stdout.readline())["message"] for _ in range(2)]
        process.kill()

    assert printed == ["car 3", "car 4"]
