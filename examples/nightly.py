"""A script whose ordinary `logging` calls become one story: `dashcam run -- python nightly.py`."""

import csv
import io
import logging

import dashcam

ROWS = "id,wheels\n7,4\n8,four\n9,3\n"
log = logging.getLogger("nightly")


@dashcam.job("nightly import")
def main():
    for row in csv.DictReader(io.StringIO(ROWS)):
        try:
            log.info("car %s has %d wheels", row["id"], int(row["wheels"]), extra={"car_id": int(row["id"])})
        except ValueError:
            log.exception("car %s left out", row["id"], extra={"car_id": int(row["id"])})


if __name__ == "__main__":
    dashcam.init("nightly")
    main()
