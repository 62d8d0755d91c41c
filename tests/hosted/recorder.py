"""A service that logs numbered events at a pace: `recorder.py EVENTS PER_SECOND`."""

import sys
import threading

import dashcam

PAUSE_S = 0.02

events, per_s = map(int, sys.argv[1:])
dashcam.init()
logger = dashcam.get_logger("recorder")
pace = threading.Event()
at_once = max(1, int(per_s * PAUSE_S))
for number in range(events):
    logger.info("numbered", number=number)
    if number % at_once == 0:
        pace.wait(PAUSE_S)
