"""A process that records one line and ends: `python -m tests.one_line`."""

import dashcam

if __name__ == "__main__":
    dashcam.init("one-line")
    dashcam.get_logger("one-line").info("one line")
