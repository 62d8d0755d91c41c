"""A Flask service that records its requests: `dashcam run -- flask --app garage run`."""

import dashcam
from flask import Flask

app = Flask("garage")
dashcam.init_app(app)
log = dashcam.get_logger(__name__)


@app.post("/repairs/<int:car_id>")
def repair(car_id):
    dashcam.add(car_id=car_id)
    log.info("repair started", bay="north")
    log.debug("lifts counted", lifts=2)
    if car_id == 13:
        log.error("no lift is free", retry_after_s=60)
        return {"error": "no lift is free"}, 503
    return {"state": "started"}
