"""A service of the chaos run: says before and after each log call what it does, to a witness on another disk."""

import os
import signal
import sys
import threading
import time

import dashcam

dashcam.init("chaos")
log = dashcam.get_logger("chaos")
witness = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())

number = 0
while not stopping.is_set():
    number += 1
    name = f"{os.getpid()}-{number}"
    with dashcam.job("step") if number % 20 == 0 else dashcam.span("step"):
        os.write(witness, f"calling {name}\n".encode())
        log.info("step", step=name, filling="x" * (number % 400))
        os.write(witness, f"logged {name}\n".encode())
    time.sleep(float(sys.argv[2]))  # not a wait for the event: the signal would set that under the event's own lock
