"""Whatever runs a service's code: servers, schedulers, workers and processes, as their users start them."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from .ports import free_port
from .processes import until

ASGI = """
import asyncio
import dashcam
from fastapi import FastAPI

app = FastAPI()
dashcam.init_app(app, "garage")
log = dashcam.get_logger("garage")

@app.get("/cars/{number}")
async def car(number: int):
    log.info("begin %s", number)
    await asyncio.sleep(0.05)
    log.info("end %s", number)
    return {"number": number}

@app.get("/slow")
async def slow():
    log.info("begin")
    await asyncio.sleep(600)
"""
WSGI = """
import time
import dashcam
from flask import Flask

app = Flask("garage")
dashcam.init_app(app)
log = dashcam.get_logger("garage")
log.info("loaded")

@app.get("/cars/<int:number>")
def car(number):
    log.info("begin %s", number)
    time.sleep(0.05)
    log.info("end %s", number)
    return {"number": number}

@app.get("/slow")
def slow():
    log.info("begin")
    time.sleep(600)
"""
GUNICORN = str(Path(sys.executable).with_name("gunicorn"))
UWSGI = (
    *("-c", "import sys, pyuwsgi; sys.exit(pyuwsgi.run())", "--http-socket", "127.0.0.1:{port}"),
    *("--master", "--processes", "2", "--module", "app:app"),
)
SERVERS = {
    "uvicorn --reload": (ASGI, "-m", "uvicorn", "app:app", "--reload", "--port", "{port}"),
    "uvicorn --workers": (ASGI, "-m", "uvicorn", "app:app", "--workers", "2", "--port", "{port}"),
    "gunicorn, uvicorn's workers": (
        *(ASGI, "-m", "gunicorn", "--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker"),
        *("--bind", "127.0.0.1:{port}", "app:app"),
    ),
    "gunicorn, gevent's workers": (
        *(WSGI, "-m", "gunicorn", "--worker-class", "gevent", "--bind", "127.0.0.1:{port}", "app:app"),
    ),
    "gunicorn --reload": (WSGI, "-m", "gunicorn", "--reload", "--bind", "127.0.0.1:{port}", "app:app"),
    "gunicorn, threads": (WSGI, "-m", "gunicorn", "--threads", "4", "--bind", "127.0.0.1:{port}", "app:app"),
    "uWSGI": (WSGI, *UWSGI),
    "uWSGI, uwsgidecorators": (WSGI + "import uwsgidecorators\n", *UWSGI),
}


@contextlib.contextmanager
def serving(recording, folder, code, *command):
    """A server of a file `app.py` that runs meanwhile, with all its processes; and its port."""
    (folder / "app.py").write_text(code)
    port = free_port()
    with (folder / "output").open("wb") as output:
        server = psutil.Popen(
            [sys.executable, *(part.format(port=port) for part in command)],
            cwd=folder,
            env=recording.environment,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: answers(port), "answer")
        yield port, server
    finally:
        for process in [*server.children(recursive=True), server] if server.is_running() else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait(timeout=60)


def answers(port):
    with contextlib.suppress(OSError):
        return get(port, "/none") == 404
    return False


def get(port, path, request_id="none"):
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers={"X-Request-ID": request_id})
        return connection.getresponse().status


def messages(story):
    return [entry.event.get("message") for entry in story.entries if entry.event and not entry.event.is_span]


def has(recording, request_id, message):
    return any(e.get("http.request.id") == request_id and e.get("message") == message for e in recording.events())


LONG = {"uvicorn --workers", "gunicorn --reload", "gunicorn, threads", "uWSGI, uwsgidecorators"}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind in LONG)) for kind in SERVERS])
def test_a_server(recording, tmp_path, kind):
    """Requests beside each other keep to their own stories; what a killed process served is aborted."""
    with serving(recording, tmp_path, *SERVERS[kind]) as (port, server):
        with ThreadPoolExecutor(8) as callers:
            calls = [callers.submit(get, port, f"/cars/{number}", f"car-{number}") for number in range(8)]
        assert {call.result() for call in calls} == {200}
        with contextlib.suppress(TimeoutError), contextlib.closing(HTTPConnection("127.0.0.1", port, 0.5)) as slow:
            slow.request("GET", "/slow", headers={"X-Request-ID": "slow"})
            until(lambda: has(recording, "slow", "begin"), "slow request")
            for process in [*server.children(recursive=True), server]:
                process.kill()

    for number in range(8):
        story = recording.assert_one_story(f"car-{number}", services=["garage"])
        assert messages(story) == [f"begin {number}", f"end {number}"]
    assert recording.story("slow").outcome == "aborted"


def test_a_module_with_the_name_of_uwsgi(recording, tmp_path):
    """A program may have a `uwsgi.py` that starts it: nothing is added there."""
    (tmp_path / "uwsgi.py").write_text("application = None\n")
    code = "import dashcam, sys; dashcam.init('garage'); sys.path[0] = sys.argv[1]; import uwsgi; print(dir(uwsgi))"

    assert "post_fork_hook" not in run(recording, code, str(tmp_path))


@pytest.mark.parametrize("kind", ["uvicorn --reload", pytest.param("gunicorn --reload", marks=pytest.mark.long)])
def test_a_reload(recording, tmp_path, kind):
    """The new process records in the place of the one before."""
    code, *command = SERVERS[kind]
    with serving(recording, tmp_path, code, *command) as (port, _):
        get(port, "/cars/1", "before")
        (tmp_path / "app.py").write_text(code.replace("end %s", "changed %s"))
        until(lambda: get_safely(port, "/cars/2", "after") and has(recording, "after", "changed 2"), "changed answer")

    assert messages(recording.assert_one_story("before")) == ["begin 1", "end 1"]
    assert {event.get("service.name") for event in recording.events()} == {"garage"}


@pytest.mark.parametrize("options", [pytest.param([], marks=pytest.mark.long), ["--preload"]], ids=["", "preloaded"])
def test_a_new_master_in_the_place_of_the_old_one(recording, tmp_path, options):
    """gunicorn's USR2: the workers of both record each request once, and the old one ends as without Dashcam."""
    command = (GUNICORN, "--bind", "127.0.0.1:{port}", "--pid", "pid", *options, "app:app")
    with serving(recording, tmp_path, WSGI, *command) as (port, old):
        codes = [get(port, "/cars/0", "car-0")]
        old.send_signal(signal.SIGUSR2)
        until((tmp_path / "pid.2").exists, "second master")
        new = psutil.Process(int((tmp_path / "pid.2").read_text()))
        until(new.children, "worker of the second master")
        with ThreadPoolExecutor(8) as callers:
            calls = [callers.submit(get, port, f"/cars/{number}", f"car-{number}") for number in range(1, 30)]
        old.terminate()
        codes += [old.wait(60), get(port, "/cars/30", "car-30"), *{call.result() for call in calls}]
        new.terminate()
        until(lambda: not new.is_running(), "end of the second master")

    assert codes == [200, 0, 200, 200]
    assert (tmp_path / "output").read_text().count("Traceback") == 0
    served = [event for event in recording.events() if event.get("url.path", "").startswith("/cars/")]
    assert sorted(event.get("http.request.id") for event in served) == sorted(f"car-{number}" for number in range(31))
    assert len({event.get("process.pid") for event in served}) == 2
    assert messages(recording.assert_one_story("car-30")) == ["begin 30", "end 30"]


def get_safely(port, path, request_id):
    with contextlib.suppress(OSError):
        return get(port, path, request_id)


def run(recording, code, *arguments, **environment):
    """Run a program file to its end; what it printed."""
    path = recording.folder.parent / "program.py"
    path.write_text(code)
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        env=recording.environment | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SCHEDULER = """
import threading
import dashcam
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.executors.pool import ProcessPoolExecutor

dashcam.init("garage")
log = dashcam.get_logger("garage")
done = threading.Semaphore(0)

@dashcam.job("clean")
def clean():
    log.info("cleaned", request=dashcam.request_id())

@dashcam.job("break")
def fail():
    raise RuntimeError("no broom")

if __name__ == "__main__":
    scheduler = BackgroundScheduler(executors={"default": {"type": "threadpool"}, "processes": ProcessPoolExecutor(1)})
    scheduler.add_listener(lambda event: done.release(), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_job(clean)
    scheduler.add_job(fail)
    scheduler.add_job(clean, executor="processes", misfire_grace_time=None)
    scheduler.start()
    assert all(done.acquire(timeout=60) for _ in range(3))
    scheduler.shutdown()
"""


def test_apscheduler(recording):
    """Each run is a story of its own: in a thread, in a process, and one that fails."""
    run(recording, SCHEDULER)

    jobs = [event for event in recording.events() if event.get("transaction.type") == "job"]
    assert sorted((job.get("span.name"), job.get("event.outcome")) for job in jobs) == [
        ("break", "failure"),
        ("clean", "success"),
        ("clean", "success"),
    ]
    assert len({job.get("http.request.id") for job in jobs}) == 3
    said = [event for event in recording.events() if event.get("message") == "cleaned"]
    assert {event.labels["request"] for event in said} == {event.get("http.request.id") for event in said}
    assert len({event.get("process.pid") for event in said}) == 2


PROCESSES = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import dashcam

log = dashcam.get_logger("garage")

def work(number):
    log.info("worked %s", number)
    return number

def recorded(headers):
    dashcam.init("garage")
    with dashcam.job("part", headers):
        work(2)

if __name__ == "__main__":
    dashcam.init("garage")
    context = multiprocessing.get_context(sys.argv[1])
    with dashcam.job("nightly"):
        print(dashcam.request_id())
        with ProcessPoolExecutor(1, context) as pool:
            assert pool.submit(work, 1).result(60) == 1
        process = context.Process(target=recorded, args=(dashcam.headers(),))
        process.start()
        process.join(60)
        assert process.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes(recording, method):
    """An executor's call and a process of one's own are parts of the story, however the process begins."""
    story = recording.assert_one_story(run(recording, PROCESSES, method).strip(), services=["garage"])

    assert messages(story) == ["worked 1", "worked 2"]


CRASHES = """
import multiprocessing, sys
import dashcam

dashcam.init("garage")

def crash():
    raise ValueError("no wheel")

def leave():
    sys.exit("nothing to do")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with dashcam.job("nightly"):
        for target in (crash, leave):
            process = context.Process(target=target, name="child")
            process.start()
            process.join(60)
            print(process.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_that_an_exception_ends(recording, method):
    """`multiprocessing` prints it, and calls no hook; a forked process belongs to the story it began in."""
    assert run(recording, CRASHES, method).split() == ["1", "1"]

    (job,) = [event for event in recording.events() if event.is_span]
    (crash,) = [event for event in recording.events() if event.get("error.type")]
    assert (crash.get("error.type"), crash.get("message")) == ("ValueError", "unhandled exception in a process")
    assert crash.get("http.request.id") == (job.get("http.request.id") if method == "fork" else None)


CELERY = """
import os
import dashcam
from celery import Celery
from celery.signals import celeryd_init

folder = os.environ["QUEUE"]
filesystem = {"data_folder_in": folder, "data_folder_out": folder, "processed_folder": folder}
url = os.environ.get("BROKER_URL", "filesystem://")
app = Celery("garage", broker=url)
app.conf.broker_transport_options = filesystem if url == "filesystem://" else {}
log = dashcam.get_logger("garage")

@celeryd_init.connect
def record(**_):
    dashcam.init("garage-worker")

@app.task(name="repair")
def repair(car_id):
    dashcam.add(car_id=car_id)
    log.info("repairing %s", car_id)
    if car_id == 13:
        raise RuntimeError("no lift is free")
    if car_id < 9:
        check.delay(car_id + 100)

@app.task(name="check")
def check(car_id):
    log.info("checked %s", car_id)

if __name__ == "__main__":
    dashcam.init("garage")
    for car_id in (7, 8, 13):
        with dashcam.job("order"):
            print(dashcam.request_id())
            repair.delay(car_id)
"""


def run_tasks(recording, folder, **environment):
    """Orders that a prefork worker takes, which is ended then; the IDs of the orders, and what the worker printed."""
    (folder / "queue").mkdir()
    (folder / "tasks.py").write_text(CELERY)
    options = {"cwd": folder, "env": recording.environment | {"QUEUE": str(folder / "queue")} | environment}
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--loglevel", "INFO"]
    with (folder / "output").open("wb") as output:
        worker = subprocess.Popen(command, stdout=output, stderr=output, **options)
    try:
        orders = subprocess.run([sys.executable, "tasks.py"], capture_output=True, text=True, check=True, **options)
        until(lambda: len(of_kind(recording, "consumer")) == 5, "fifth task")
    finally:
        worker.terminate()
        worker.wait(timeout=60)
    return orders.stdout.split(), (folder / "output").read_text()


def of_kind(recording, kind):
    return [event for event in recording.events() if event.get("span.kind") == kind]


def check_tasks(recording, orders, printed):
    """Each order is a story with its task and the task of that; a failure is one, and is printed as ever."""
    for order, car_id in zip(orders, (7, 8), strict=False):
        served = [event for event in of_kind(recording, "consumer") if event.get("http.request.id") == order]
        assert [event.get("span.name") for event in served] == ["run/repair", "run/check"]
        said = messages(recording.story(order))
        assert [text for text in said if text.endswith(str(car_id))] == [f"repairing {car_id}", f"checked 10{car_id}"]
    failed = recording.story(orders[2])
    (task,) = [entry.event for entry in failed.entries if entry.title.startswith("run/")]
    assert (task.get("event.outcome"), task.labels["car_id"]) == ("failure", 13)
    assert printed.count("RuntimeError: no lift is free") == 1


def test_celery_prefork(recording, tmp_path):
    """A worker with processes of its own, and a broker between: kombu's, which keeps messages in files."""
    check_tasks(recording, *run_tasks(recording, tmp_path))


@pytest.fixture
def redis_url(tmp_path):
    """A redis server of this machine, by its address."""
    if (program := shutil.which("redis-server")) is None:
        pytest.skip("redis-server is not on the PATH: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        until(lambda: is_open(port), "redis server")
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


def is_open(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.mark.long
def test_celery_prefork_by_redis(recording, tmp_path, redis_url):
    """The same by the broker that most have."""
    check_tasks(recording, *run_tasks(recording, tmp_path, BROKER_URL=redis_url))


REDIS = """
import asyncio, sys
import dashcam
dashcam.init("garage")
import redis
import redis.asyncio

async def ask():
    async with redis.asyncio.Redis.from_url(sys.argv[1]) as client:
        assert await client.get("car") == b"7"

with dashcam.job("look"):
    print(dashcam.request_id())
    with redis.Redis.from_url(sys.argv[1]) as client:
        client.set("car", 7)
        with client.pipeline() as pipe:
            pipe.get("car")
            pipe.incr("seen")
            assert pipe.execute() == [b"7", 1]
    asyncio.run(ask())
"""


def test_redis(recording, redis_url):
    """Commands, pipelines and coroutines are spans of the story that they belong to; values are not in them."""
    story = recording.assert_one_story(run(recording, REDIS, redis_url).strip(), services=["garage"])

    statements = [entry.event.get("db.statement") for entry in story.entries if entry.event.get("db.system")]
    assert statements == ["SET ? ?", "GET ?\nINCRBY ? ?", "GET ?"]
