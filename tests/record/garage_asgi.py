"""FastAPI applications of the tests, served by uvicorn: `garage_asgi:app`."""

import asyncio
import logging
import os
import signal

from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

import dashcam

log = dashcam.get_logger("garage.api")
app = FastAPI()
dashcam.init_app(app, "garage")
router = APIRouter(prefix="/garage")


@router.get("/cars/{car_id}")
async def car(car_id: int):
    dashcam.add(car_id=car_id)
    await asyncio.sleep(0)
    log.info("in a coroutine")
    await asyncio.create_task(later("in a task"))
    await asyncio.to_thread(log.info, "in a thread")
    return {"car": car_id, "request_id": dashcam.request_id()}


async def later(message):
    await asyncio.sleep(0)
    log.info(message)


@app.get("/sync")
def sync():
    log.info("in the thread pool")
    return {"request_id": dashcam.request_id()}


@app.get("/background")
async def background(tasks: BackgroundTasks, fail: bool = False):  # noqa: FBT001, FBT002
    tasks.add_task(work_later, fail=fail)
    return {}


def work_later(*, fail):
    log.info("in a background task")
    if fail:
        raise LookupError("no wheel")


@app.get("/fails")
async def fails():
    logging.getLogger("library").warning("soon")
    raise ValueError("no wheel")


@app.get("/stream")
async def stream(parts: int = 3, fail_at: int = -1):
    async def body():
        for number in range(parts):
            if number == fail_at:
                raise ValueError("no more")
            log.info("part", number=number)
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    return StreamingResponse(body())


behind = FastAPI()  # behind a middleware that ends a broken body as if it were whole
dashcam.init_app(behind, "garage")
behind.get("/stream")(stream)
behind.get("/background")(background)


@behind.middleware("http")
async def hand_on(request, call_next):
    return await call_next(request)


@app.get("/slow")
async def slow():
    log.info("slow")
    await asyncio.sleep(1)
    return {}


@app.get("/dies")
async def dies():
    os.kill(os.getpid(), signal.SIGKILL)


@app.post("/echo")
async def echo(body: dict):
    return JSONResponse(body, headers={"X-Request-ID": "of the application"})


@app.post("/upload")
async def upload(request: Request):
    return sum([len(part) async for part in request.stream()])


@app.websocket("/ws/{room}")
async def talk(websocket: WebSocket, room: str):
    dashcam.add(room=room)
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "fail":
            raise ValueError("fail")
        log.info("heard", text=text)
        await websocket.send_text(dashcam.request_id())


app.include_router(router)


@dashcam.asgi
async def raw(scope, receive, send):
    """An application of no framework, that sends a body whatever is asked for."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a body"})
