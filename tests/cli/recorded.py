"""Something recorded, for commands to work on."""

import json

from ..processes import run

SERVICE = """
import os, sys
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
for number in range(int(sys.argv[1])):
    log.info("car created", number=number)
"""


def record(folder, count, **environment):
    """Have a service record some events, numbered from 0, and end."""
    run(SERVICE, count, env={"DASHCAM_DIR": str(folder), **environment})


def numbers(text):
    """The numbers of the events that stand in JSON Lines, among other lines; not of one that is just being written."""
    return [
        json.loads(line)["labels"]["number"]
        for line in text[: text.rfind("\n") + 1].splitlines()
        if line.startswith("{")
    ]
