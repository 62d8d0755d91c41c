"""Stories of what is not a request."""

import asyncio
import contextvars
import logging
import multiprocessing
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.exceptions import Exit

import dashcam

from ..processes import finished, run

log = dashcam.get_logger("nightly")


def _only_span(recording, name):
    (event,) = [event for event in recording.events() if event.get("span.name") == name]
    return event


def test_a_job_is_a_story(cars):
    """One ID and one root span, its fields, those that `add` put there, and the log calls within."""
    with dashcam.job("nightly import", source="garage", rows=[1, 2]):
        request_id = dashcam.request_id()
        log.info("started")
        dashcam.add(imported=3)
        with dashcam.span("parse", rows=3, files=["a", "b"]):
            log.info("parsing")

    assert dashcam.request_id() == ""
    story = cars.assert_one_story(request_id, services=["cars"])
    assert [entry.title for entry in story.entries] == ["nightly import", "started", "parse", "parsing"]
    root, part = _only_span(cars, "nightly import"), _only_span(cars, "parse")
    assert root.labels == {"source": "garage", "rows": [1, 2], "imported": 3}
    assert (root.get("transaction.type"), root.get("event.outcome")) == ("job", "success")
    assert root.get("url") is None
    assert part.labels == {"rows": 3, "files": '["a","b"]'}
    assert part.get("parent.id") == root.get("span.id")
    assert part.get("transaction.id") == root.get("transaction.id")


def test_jobs_are_stories_of_their_own(cars):
    """One after another; one within another is a part of it."""
    ids = []
    for _ in range(2):
        with dashcam.job("outer"):
            ids.append(dashcam.request_id())
            with dashcam.job("inner"):
                assert dashcam.request_id() == ids[-1]

    assert len(set(ids)) == 2
    assert len(cars.story(ids[0]).entries) == 2


@pytest.mark.parametrize("block", [dashcam.job, dashcam.span, lambda name: dashcam.context(name=name)])
def test_a_generator_that_nobody_reads_to_its_end(cars, block):
    """It did not fail, and another context that ends it hears nothing of ours, as the loop of asyncio does."""

    def rows():
        with block("rows"):
            yield 1
            yield 2

    generator = rows()
    contextvars.copy_context().run(next, generator)
    generator.close()

    assert [(event.is_span, event.get("event.outcome")) for event in cars.events()] in ([(True, "success")], [])


@pytest.mark.parametrize(
    "error", [ValueError("v"), KeyboardInterrupt(), SystemExit(3), SystemExit("no"), Exit(4), asyncio.CancelledError()]
)
def test_a_failure_is_a_failure(cars, error):
    """Any exception that leaves the job: once as an event, and the span says so; the program gets it as it is."""
    with pytest.raises(type(error)) as raised, dashcam.job("nightly"), dashcam.span("parse"):
        raise error

    assert raised.value is error
    assert {_only_span(cars, name).get("event.outcome") for name in ("nightly", "parse")} == {"failure"}
    (event,) = [event for event in cars.events() if event.get("error.stack_trace")]
    assert event.get("error.type") == type(error).__name__
    assert event.get("transaction.id") == _only_span(cars, "nightly").get("transaction.id")


@pytest.mark.parametrize("end", [SystemExit(), SystemExit(0), Exit(0)])
def test_the_end_of_a_script_is_no_failure(cars, end):
    """`sys.exit()` is how many scripts end, and `raise Exit()`, of click or Typer, how commands do."""
    with pytest.raises(type(end)), dashcam.job("nightly"):
        raise end

    assert [event.get("event.outcome") for event in cars.events()] == ["success"]


def test_a_handled_error_in_a_span(cars):
    """The span failed, the job did not."""
    with dashcam.job("nightly"), pytest.raises(ValueError, match="four"), dashcam.span("parse"):
        int("four")

    assert _only_span(cars, "parse").get("event.outcome") == "failure"
    assert _only_span(cars, "nightly").get("event.outcome") == "success"


def test_decorators(cars):
    """Each call of a function or coroutine is a job; its result is what it was."""

    @dashcam.job("import", kind="function")
    def plain(number):
        """Import."""
        log.info("in it")
        return number + 1

    @dashcam.job("import", kind="coroutine")
    async def later(number):
        await asyncio.sleep(0)
        log.info("in it")
        return number + 1

    assert (plain(1), plain(2), asyncio.run(later(3))) == (2, 3, 4)
    assert (plain.__name__, plain.__doc__) == ("plain", "Import.")
    spans = [event for event in cars.events() if event.get("span.name") == "import"]
    assert [event.labels["kind"] for event in spans] == ["function", "function", "coroutine"]
    assert len({event.get("http.request.id") for event in cars.events()}) == 3


def test_a_decorated_generator():
    """Its calls are over before its work begins: that is said where it is written."""
    with pytest.raises(TypeError, match="put the `with` inside"):
        dashcam.job("import")(lambda: (yield))


def test_tasks_and_threads(cars):
    """What a job starts belongs to it."""

    async def work():
        await asyncio.gather(*(asyncio.to_thread(log.info, "in a thread of a task") for _ in range(2)))

    with dashcam.job("nightly"):
        request_id = dashcam.request_id()
        asyncio.run(work())
        with ThreadPoolExecutor(2) as executor:
            executor.submit(log.info, "in an executor")
        thread = threading.Thread(target=log.info, args=("in a thread",))
        thread.start()
        thread.join()

    cars.assert_one_story(request_id, services=["cars"])
    assert len(cars.story(request_id).entries) == 5


def test_a_thread_with_a_run_of_its_own(cars):
    """Belongs to the job that started it, too, with all that it calls; the next one does not."""

    class Mechanic(threading.Thread):
        def run(self):
            log.info("at work", job=dashcam.request_id())

    with dashcam.job("nightly"):
        request_id = dashcam.request_id()
        inside = Mechanic()
        inside.start()
        inside.join()
    outside = Mechanic()
    outside.start()
    outside.join()

    lines = [event for event in cars.events() if not event.is_span]
    assert [(line.get("http.request.id"), line.get("labels.job")) for line in lines] == [
        (request_id, request_id),
        (None, ""),
    ]


def test_what_was_done_to_the_values_of_a_span(cars):
    """Its event has the tags that a log event with these values has."""
    values = {"rows": ["password=hunter2x " * 3_000], "letter": ["\ud800"]}
    with dashcam.span("parse", **values):
        log.info("parsed", **values)

    span, line = (event for event in cars.events() if event.get("message") in {"parse", "parsed"})
    assert set(span.get("tags")) == set(line.get("tags")) == {"cut", "masked-rest", "mended"}
    assert span.get("labels").keys() == {"rows", "letter"}


@pytest.mark.parametrize(
    ("headers", "is_known"),
    [
        ({"X-Request-ID": 7, "traceparent": None}, False),
        ({"X-Request-ID": ["golf-1", "golf-2"], 5: "golf-1"}, False),
        ({b"x-request-id": b"golf-1", "traceparent": b"\xff"}, True),
        ({"X-Request-ID": ["golf-1"]}, True),
    ],
    ids=["no texts", "several", "bytes", "a list"],
)
def test_headers_of_any_kind(cars, headers, is_known):
    """A message comes from outside: whatever is in it, its job runs."""
    with dashcam.job("deliver", headers):
        assert (dashcam.request_id() == "golf-1") == is_known


@pytest.mark.parametrize("block", [dashcam.job, dashcam.span])
def test_a_name_that_is_no_text(cars, block):
    """Such as a member of an enumeration is recorded by its text."""
    with block(7):
        pass

    assert _only_span(cars, "7").get("event.outcome") == "success"


class TimeLimit(Exception):
    """As the soft limits of Celery and RQ raise it in a signal handler."""


class Interrupted:
    def __str__(self):
        signal.raise_signal(signal.SIGALRM)
        return "text"


@pytest.mark.parametrize(
    "call",
    [
        lambda value: logging.getLogger("library").warning("%s", value),
        lambda value: logging.getLogger("library").warning("extra", extra={"value": value}),
        lambda value: log.info("a field", value=value),
        lambda value: log.info("%s", value, other=1),
        lambda value: dashcam.add(value=value),
        dashcam.keep,
    ],
    ids=["argument", "extra", "field", "argument and field", "add", "keep"],
)
def test_a_time_limit_that_a_signal_handler_raises(cars, call):
    """It goes on to the program, also if it comes while something is recorded."""

    def interrupt(*_):
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(TimeLimit), dashcam.job("nightly"):
            call(Interrupted())
    finally:
        signal.signal(signal.SIGALRM, before)


GREENLETS = """
import gevent, gevent.pool
import dashcam

dashcam.init("cars")
log = dashcam.get_logger("nightly")
with dashcam.job("nightly"):
    late = gevent.spawn_later(0.01, log.info, "late")
    gevent.spawn(log.info, "spawned").join()
    gevent.pool.Pool(2).map(log.info, ["mapped"])
    gevent.spawn(lambda: 1 / 0).join()
late.join()
gevent.spawn(log.info, "outside").join()
"""


def test_the_greenlets_of_a_job(recording):
    """What a job starts belongs to it, as its threads do, and what ends a greenlet, too."""
    run(GREENLETS, env=recording.environment)

    job, *lines = recording.events()
    assert [(line.get("message"), line.get("span.id") == job.get("span.id")) for line in lines] == [
        ("spawned", True),
        ("mapped", True),
        ("unhandled exception in a greenlet", True),
        ("late", True),
        ("outside", False),
    ]


def _log_in_a_process(number):
    log.info("in a process", number=number)


PROCESSES = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import dashcam

log = dashcam.get_logger("nightly")

def work(number):
    log.info("in a process", number=number)

if __name__ == "__main__":
    dashcam.init("cars")
    with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as executor:
        for number in range(2):
            with dashcam.job("nightly"), dashcam.context(tenant="acme"):
                print(dashcam.request_id())
                executor.submit(work, number).result()
        executor.submit(work, 2).result()
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_an_executor_of_processes(recording, tmp_path, method):
    """Each call belongs to the job that submitted it, whatever the worker did before and however it was started."""
    (tmp_path / "script.py").write_text(PROCESSES)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", method],
        env=recording.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )

    first, second = done.stdout.split()
    found = [event for event in recording.events() if event.get("message") == "in a process"]
    assert [(event.labels.pop("number"), event.get("http.request.id"), event.labels) for event in found] == [
        (0, first, {"tenant": "acme"}),
        (1, second, {"tenant": "acme"}),
        (2, None, {}),
    ]
    assert {event.get("service.name") for event in found} == {"cars"}


INTERPRETERS = """
from concurrent.futures import InterpreterPoolExecutor
import dashcam

dashcam.init("cars")
with dashcam.job("nightly"), InterpreterPoolExecutor(1) as executor:
    print(executor.submit(pow, 2, 3).result(), *executor.map(abs, [-1]))
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Python 3.14 brings interpreters in threads")
def test_an_executor_of_interpreters(recording):
    """Its calls run as without us: no function of ours goes to an interpreter, which would not take it."""
    assert finished(INTERPRETERS, env=recording.environment).stdout == "8 1\n"


def test_a_forked_process(cars):
    """It goes on with the story of the job it was forked in, and does not end it."""
    with dashcam.job("nightly"):
        request_id = dashcam.request_id()
        process = multiprocessing.get_context("fork").Process(target=_log_in_a_process, args=(0,))
        process.start()
        process.join()

    cars.assert_one_story(request_id, services=["cars"])
    assert [entry.title for entry in cars.story(request_id).entries] == ["nightly", "in a process"]


FORKS = """
import os, sys
import dashcam
dashcam.init("cars")
with dashcam.job("nightly"):
    for end in (lambda: sys.exit(4), lambda: 1 / 0):
        if (child := os.fork()) == 0:
            end()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_forked_child_that_leaves_the_block(recording):
    """Its end is not the job's, which goes on; an exception of it is there once, with the ids."""
    done = finished(FORKS, env=recording.environment)

    assert done.stdout.split() == ["4", "1"]
    job = _only_span(recording, "nightly")
    assert job.get("event.outcome") == "success"
    errors = [(event.get("error.type"), event.get("trace.id")) for event in recording.events() if event.get("error")]
    assert errors == [("ZeroDivisionError", job.get("trace.id"))]


def test_a_message_of_a_queue(cars):
    """Who sends the headers along, and who takes the message with them, tell one story."""
    with dashcam.job("order"):
        request_id, message = dashcam.request_id(), dashcam.headers()
    with dashcam.job("deliver", {name.lower(): value for name, value in message.items()}, queue="orders"):
        log.info("delivered")

    story = cars.assert_one_story(request_id, services=["cars"])
    assert [entry.title for entry in story.entries] == ["order", "deliver", "delivered"]
    assert dashcam.headers() == {}


@pytest.mark.parametrize("given", [{}, {"X-Request-ID": "no no"}, {"traceparent": "garbage"}])
def test_a_message_without_a_story(cars, given):
    """It gets an ID of its own."""
    with dashcam.job("deliver", given):
        assert len(dashcam.request_id()) == 36


KILLED = """
import os, signal
import dashcam
dashcam.init("nightly")
with dashcam.job("nightly import"):
    dashcam.get_logger("nightly").info("started")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_abort_is_an_abort(recording):
    """A job whose process was killed is not lost."""
    done = subprocess.run([sys.executable, "-c", KILLED], env=recording.environment, check=False, timeout=100)

    assert done.returncode == -signal.SIGKILL
    (aborted,) = [event for event in recording.events() if event.get("event.action") == "request-aborted"]
    assert "nightly import" in aborted.get("message")
    story = recording.story(aborted.get("http.request.id"))
    assert (story.outcome, story.server_span.title) == ("aborted", "nightly import")


SCRIPT = """
import sys
import dashcam
with dashcam.job("nightly import"):
    dashcam.get_logger("nightly").info("started")
    {}["no"]
"""


def test_a_script_that_does_not_call_init(recording):
    """`job` begins to record by itself; the exception that ends the script is there once, and printed once."""
    done = finished(SCRIPT, env=recording.environment)

    assert done.returncode == 1
    assert done.stderr.count("KeyError: 'no'") == 1
    errors = [event for event in recording.events() if event.get("error.stack_trace")]
    assert [event.get("error.type") for event in errors] == ["KeyError"]
    recording.assert_one_story(errors[0].get("http.request.id"))
