"""A FastAPI service that records its requests: `dashcam run -- uvicorn garage_fastapi:app`."""

import dashcam
from fastapi import BackgroundTasks, FastAPI, HTTPException

app = FastAPI()
dashcam.init_app(app, "garage")
log = dashcam.get_logger(__name__)


@app.post("/repairs/{car_id}")
async def repair(car_id: int, tasks: BackgroundTasks):
    dashcam.add(car_id=car_id)
    log.info("repair started", bay="north")
    tasks.add_task(order_parts, car_id)
    if car_id == 13:
        log.error("no lift is free", retry_after_s=60)
        raise HTTPException(503, "no lift is free")
    return {"state": "started"}


def order_parts(car_id: int):
    with dashcam.span("order parts", car_id=car_id):
        log.info("parts ordered")
