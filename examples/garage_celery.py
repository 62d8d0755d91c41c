"""Celery tasks that belong to the story of their sender: `dashcam run -- celery -A garage_celery worker`."""

import os

import dashcam
from celery import Celery
from celery.signals import celeryd_init

app = Celery("garage", broker=os.environ.get("BROKER_URL", "memory://"), backend="cache+memory://")
log = dashcam.get_logger(__name__)


@celeryd_init.connect
def record(**_):
    dashcam.init("garage-worker")


@app.task
def repair(car_id):
    dashcam.add(car_id=car_id)
    log.info("repair started", bay="north")
    if car_id == 13:
        raise RuntimeError("no lift is free")
    return "started"
