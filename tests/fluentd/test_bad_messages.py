"""Messages that no client of ours sends, to a real fluentd before a real Elasticsearch, with and without the gem oj.

Each is one dead letter, or is refused by fluentd itself; a good one behind each arrives, and the worker goes on.
"""

import socket
import struct
import uuid
from contextlib import contextmanager, suppress

import msgpack
import pytest

from dashcam.destinations.fluentd.connection import Timeouts, dial
from dashcam.destinations.fluentd.message import ENTRY, Entries, pack_message
from dashcam.destinations.fluentd.peer import Peer
from dashcam.settings import Secret

from ..processes import until
from .runner import SHARED_KEY, Fluentd
from .test_pipeline import Stack

NOW = 1795484146
BROKEN = {
    "a lone byte": b"\xff",
    "a surrogate": b"\xed\xa0\x80",
    "half a character": b"\xe2\x82",
    "an overlong NUL": b"\xc0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
}


def text(raw):
    """A string of those bytes, which msgpack packs as text whatever they are."""
    return raw.decode("utf-8", "surrogateescape")


def pack(value):
    return msgpack.packb(value, unicode_errors="surrogateescape")


def nested(depth):
    value = "core"
    for _ in range(depth):
        value = {"in": value}
    return value


def of_a_shipper():
    """Name, tag, time, fields of the record, and how many dead letters it is."""
    for how, raw in BROKEN.items():
        bad = text(b"bad " + raw)
        yield f"{how} in the tag", text(b"dashcam.log" + raw), NOW, {}, 0
        yield f"{how} in the id", "dashcam.log", NOW, {"event": {"id": bad}}, 1
        yield f"{how} in @timestamp", "dashcam.log", NOW, {"@timestamp": bad}, 1
        yield f"{how} in the message", "dashcam.log", NOW, {"message": bad}, 1
        yield f"{how} in a name", "dashcam.log", NOW, {bad: 1}, 1
        yield f"{how} in a label's name", "dashcam.span", NOW, {"labels": {bad: 1}}, 1
        yield f"{how} in a list", "dashcam.log", NOW, {"labels": {"x": ["ok", [bad]]}}, 1
    for event in (None, 1, "text", [], {}, {"id": None}, {"id": 7}, {"id": ["x"]}, {"id": {"id": "x"}}, {"id": ""}):
        yield f"event {event!r}", "dashcam.log", NOW, {"event": event}, 1
    for id_ in ("short", "x" * 129, "x" * 600, "new\nline-id", "with blank in", "été-été-été", "nul\0nul\0nul"):
        yield f"id {id_[:20]!r}", "dashcam.log", NOW, {"event": {"id": id_}}, 1
    for stamp in (4, 1.5, True, [], {}, "", "yesterday", "2026-13-45T99:00:00Z", "2026-11-24", "24 Nov 2026"):
        yield f"@timestamp {stamp!r}", "dashcam.log", NOW, {"@timestamp": stamp}, 1
    for moment in (64_060_588_800, -1, -(2**40), 2**62):
        yield f"time {moment}", "dashcam.log", moment, {}, 1
    for number in (float("nan"), float("inf"), float("-inf")):
        yield f"label {number}", "dashcam.log", NOW, {"labels": {"n": number}}, 1
    yield "120 levels", "dashcam.log", NOW, {"labels": nested(120)}, 1
    yield "400 levels, which fluentd itself refuses", "dashcam.log", NOW, {"labels": nested(400)}, 0
    yield "5 MB", "dashcam.log", NOW, {"message": "x" * 5_000_000}, 1
    yield "against the mapping", "dashcam.log", NOW, {"http": "no object"}, 1
    yield "another tag", "somebody.else", NOW, {}, 0
    yield "no tag", "", NOW, {}, 0


def of_a_container():
    """Name, tag, time and fields; whatever text a container prints is text, made valid, and no dead letter."""
    for how, raw in BROKEN.items():
        bad = text(b"bad " + raw)
        yield f"{how} in the tag", text(b"docker.postgres" + raw), NOW, {}, None
        yield f"{how} in the line", "docker.postgres", NOW, {"log": bad}, 0
        yield f"{how} in the container's name", "docker.postgres", NOW, {"container_name": bad}, 0
        yield f"{how} in the source", "docker.postgres", NOW, {"source": bad}, 0
        yield f"{how} in a name", "docker.postgres", NOW, {bad: 1}, 0
        yield f"{how} in a part's id", "docker.postgres", NOW, {"partial_message": "true", "partial_id": bad}, None
    for line in (None, 7, 1.5, True, [], {}, "", "\0", nested(60), float("nan"), "x" * 5_000_000):
        yield f"line {str(line)[:20]}", "docker.postgres", NOW, {"log": line}, None
    for moment in (64_060_588_800, -1, -(2**40), 2**62):
        yield f"time {moment}", "docker.postgres", moment, {}, 1
    for ordinal in (None, -1, "x", 10**6, [], 1.5):
        part = {"partial_message": "true", "partial_id": f"p{ordinal}", "partial_ordinal": ordinal}
        yield f"part {ordinal!r}", "docker.postgres", NOW, part, None
    for last in (None, 1, [], "maybe"):
        part = {"partial_message": "true", "partial_id": f"l{last}", "partial_ordinal": "1", "partial_last": last}
        yield f"last {last!r}", "docker.postgres", NOW, part, None
    yield "another key", "forged.postgres", NOW, {}, 0


@pytest.fixture(scope="module", params=["oj", "no oj"])
def stack(request, tmp_path_factory, elasticsearch_url):
    """A fluentd with the gem, or one that does not find it."""
    Fluentd.require()
    folder = tmp_path_factory.mktemp("fluentd")
    environment = {}
    if request.param == "no oj":
        (folder / "oj.rb").write_text('raise LoadError, "cannot load such file -- oj"\n')
        environment["RUBYLIB"] = str(folder)
    stack = Stack(folder, elasticsearch_url, **environment).set_up()
    stack.fluentd.start()
    yield stack
    stack.fluentd.stop()


@contextmanager
def connected(stack):
    connection = dial(Peer("127.0.0.1", stack.fluentd.port, shared_key=Secret(SHARED_KEY)), Timeouts())
    yield connection
    connection.close()


def dead_letters(stack):
    """How many there are of each kind, by the mark that each record carries."""
    counts = {}
    for letter in stack.fluentd.dead_letters():
        mark = letter["record"].get("mark")
        counts[mark] = counts.get(mark, 0) + 1
    return counts


def check(stack, kinds, marks):
    """Wait until each has the dead letters it is to have, and none has more."""
    expected = {mark: count for mark, (*_, count) in zip(marks, kinds, strict=True)}
    with suppress(AssertionError):  # the comparison below says which ones
        until(
            lambda: all(dead_letters(stack).get(mark) for mark, count in expected.items() if count), "dead letters", 20
        )
    found = dead_letters(stack)
    wrong = {
        name: (found.get(mark, 0), count)
        for mark, (name, *_, count) in zip(marks, kinds, strict=True)
        if (found.get(mark, 0) > 1 if count is None else found.get(mark, 0) != count)
    }
    assert wrong == {}


def test_on_the_shippers_port(stack):
    """The one that asks for a key."""
    kinds, worker = list(of_a_shipper()), stack.fluentd.worker
    marks = [uuid.uuid4().hex for _ in kinds]
    good = [f"{uuid.uuid4().hex}-good" for _ in kinds]

    for (_, tag, moment, fields, _), mark, id_ in zip(kinds, marks, good, strict=True):
        record = {"event": {"id": f"{mark}-bad"}, "message": "hello", "mark": mark, **fields}
        with connected(stack) as connection:
            connection._sock.sendall(pack([tag, moment, record]))
        with connected(stack) as connection:
            entry = ENTRY + struct.pack(">II", NOW, 0) + pack({"event": {"id": id_}, "message": "good"})
            connection.deliver([pack_message("dashcam.log", Entries([entry], 1))])

    stack.wait_for(*good)
    check(stack, kinds, marks)
    assert stack.fluentd.worker == worker


def test_on_the_containers_port(stack):
    """The one that Docker sends to."""
    kinds, worker = list(of_a_container()), stack.fluentd.worker
    marks = [uuid.uuid4().hex for _ in kinds]

    for (_, tag, moment, fields, _), mark in zip(kinds, marks, strict=True):
        base = {"container_id": mark, "container_name": "/x", "source": "stderr", "log": "hello", "mark": mark}
        with socket.create_connection(("127.0.0.1", stack.fluentd.containers_port)) as client:
            client.sendall(pack([tag, moment, {**base, **fields}]))
            client.sendall(pack(["docker.good", NOW, {**base, "container_id": f"good {mark}"}]))

    def arrived():
        return {event.get("labels", {}).get("container_id") for event in stack.found().values()}

    until(lambda: {f"good {mark}" for mark in marks} <= arrived(), "good messages")
    check(stack, kinds, marks)
    assert {mark for mark, (*_, count) in zip(marks, kinds, strict=True) if count == 0} - arrived() == {marks[-1]}
    assert stack.fluentd.worker == worker
