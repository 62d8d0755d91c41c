"""Events as two services would record them, made by hand: what happened when, in milliseconds of one request."""

from dataclasses import dataclass, field
from typing import Any

from dashcam.event import Event, format_time

START_NS = 1_795_484_146_123_000_000  # 2026-11-24T01:35:46.123Z
REQUEST_ID = "0193a1b2-c3d4-7e5f-8601-020304050607"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass
class Service:
    """One process of a service on its own host, whose clock may be off by some milliseconds."""

    name: str
    events: list[Event]
    host: str = "laptop"
    clock_off_ms: float = 0
    request_id: str = REQUEST_ID
    trace_id: str = TRACE_ID
    segment: str = ""
    count: int = field(default=0)

    def line(self, at_ms, message, span, *, transaction="", level="info", error=None, tags=None, **labels):
        """A log line inside a span."""
        self._add(
            at_ms,
            {
                "log.level": level,
                "message": message,
                "labels": labels,
                "http": {"request": {"id": self.request_id}},
                **self._place(span, "", transaction or span),
                "log": {"logger": f"{self.name}.api"},
                "error": error or {},
                "tags": tags or [],
                "event": {},
            },
        )

    def server(self, at_ms, took_ms, asked, status, span, *, parent="", **labels):
        """The span of a served request."""
        method, route = asked.split(" ")
        outcome = "failure" if status >= 500 else "success"
        self._add(
            at_ms,
            {
                "processor": {"event": "transaction"},
                "log.level": "error" if status >= 500 else "info",
                "message": asked,
                **self._place(span, parent, span, name=asked, kind="server"),
                "http": {
                    "request": {"id": self.request_id, "method": method},
                    "response": {"status_code": status},
                    "route": route,
                },
                "url": {"path": route, "scheme": "http", "domain": "127.0.0.1"},
                "labels": labels,
                "event": {"duration": int(took_ms * 1e6), "outcome": outcome},
            },
        )

    def client(self, at_ms, took_ms, asked, status, span, *, parent, transaction=""):
        """The span of a call to another service; status 0: no answer came."""
        method, url = asked.split(" ")
        http = {"request": {"id": self.request_id, "method": method}}
        if status:
            http["response"] = {"status_code": status}
        self._add(
            at_ms,
            {
                "processor": {"event": "span"},
                "log.level": "info",
                "message": method,
                **self._place(span, parent, transaction or parent, name=method, kind="client"),
                "http": http,
                "url": {"full": url},
                "event": {"duration": int(took_ms * 1e6), "outcome": "success" if 0 < status < 400 else "failure"},
            },
        )

    def query(self, at_ms, took_ms, statement, span, *, parent, outcome="success"):
        """The span of a database statement."""
        self._add(
            at_ms,
            {
                "processor": {"event": "span"},
                "log.level": "info" if outcome == "success" else "error",
                "message": statement.split(" ")[0],
                **self._place(span, parent, parent, name=statement.split(" ")[0], kind="client"),
                "http": {"request": {"id": self.request_id}},
                "db": {"system": "postgresql", "name": self.name, "statement": statement},
                "event": {"duration": int(took_ms * 1e6), "outcome": outcome},
            },
        )

    def aborted(self, at_ms, age_ms, asked, span, *, parent="", action="request-aborted", outcome="failure"):
        """The report of a request without an end: its process died, or damage hides it."""
        method, route = asked.split(" ")
        self._add(
            at_ms,
            {
                "log.level": "error" if outcome == "failure" else "warning",
                "message": f"{action.replace('-', ' ')}: the process 4242 was killed",
                "http": {"request": {"id": self.request_id, "method": method}, "route": route},
                **self._place(span, parent, span),
                "url": {"path": route},
                "event": {"action": action, "outcome": outcome, "duration": int(age_ms * 1e6)},
            },
        )

    def _place(self, span: str, parent: str, transaction: str, **more: str) -> dict[str, Any]:
        place: dict[str, Any] = {"trace": {"id": self.trace_id}, "span": {"id": span, **more}}
        place["transaction"] = {"id": transaction}
        return {**place, "parent": {"id": parent}} if parent else place

    def _add(self, at_ms: float, fields: dict[str, Any]) -> None:
        self.count += 1
        segment = self.segment or self.name.encode().hex().ljust(24, "0")[:24]
        fields["event"] = {
            "kind": "event",
            "dataset": self.name,
            **fields["event"],
            "id": f"{segment}-{self.count:08d}",
            "sequence": self.count,
        }
        time_ns = START_NS + round((at_ms + self.clock_off_ms) * 1e6)
        shared = {
            "ecs.version": "8.17.0",
            "service": {"name": self.name, "version": "1.0.0", "environment": "demo", "node": {"name": self.host}},
            "process": {"pid": 4242},
            "host": {"name": self.host},
            "agent": {"name": "dashcam", "version": "0.1.0"},
        }
        self.events.append(Event({"@timestamp": format_time(time_ns), **fields, **shared}))


ROOT, INSERT, CALL, SERVED, PARTS, COMMIT = (f"{number:016x}" for number in range(0xA1, 0xA7))

CAR_ID = "7f3e0c7a-0b8e-4c4e-9a43-5f0f6d1f2a11"

TRACEBACK = """Traceback (most recent call last):
  File "/srv/parts/api.py", line 61, in create
    made = store.insert(car_id, wanted)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/parts/store.py", line 34, in insert
    cursor.execute(INSERT, rows)
psycopg2.errors.CheckViolation: new row for relation "parts" violates check constraint "parts_kind_known"
DETAIL:  Failing row contains (9, 7f3e0c7a-0b8e-4c4e-9a43-5f0f6d1f2a11, flux capacitor).
"""


def created(*, parts_host="laptop", clock_off_ms=0.0) -> list[Event]:
    """A car is created: cars asks parts, both write to their databases."""
    events: list[Event] = []
    cars = Service("cars", events)
    parts = Service("parts", events, host=parts_host, clock_off_ms=clock_off_ms)
    cars.line(0.6, "creating a car", ROOT, name="VW Golf")
    cars.query(1.1, 1.4, "INSERT INTO cars (id, name) VALUES (%s, %s)", INSERT, parent=ROOT)
    cars.client(3.0, 31.2, "POST http://127.0.0.1:5001/parts", 201, CALL, parent=ROOT)
    parts.line(6.2, "parts wanted", SERVED, car_id=CAR_ID, kinds=["engine", "wheel", "body"])
    parts.query(7.0, 18.3, "INSERT INTO parts\n  (id, car_id, kind)\nVALUES %s", PARTS, parent=SERVED)
    parts.line(26.1, "parts made", SERVED, count=6)
    parts.server(5.1, 23.4, "POST /parts", 201, SERVED, parent=CALL, car_id=CAR_ID)
    cars.query(35.0, 4.6, "COMMIT", COMMIT, parent=ROOT)
    cars.line(40.0, "car created", ROOT, car_id=CAR_ID, parts=6)
    cars.server(0, 42.3, "POST /cars", 201, ROOT, car_id=CAR_ID)
    return events


def failed() -> list[Event]:
    """Parts fails on a constraint: cars rolls back and answers 502."""
    events: list[Event] = []
    cars, parts = Service("cars", events), Service("parts", events)
    cars.line(0.6, "creating a car", ROOT, name="DeLorean")
    cars.client(3.0, 21.2, "POST http://127.0.0.1:5001/parts", 500, CALL, parent=ROOT)
    parts.query(7.0, 4.1, "INSERT INTO parts (id, car_id, kind) VALUES %s", PARTS, parent=SERVED, outcome="failure")
    error = {
        "type": "psycopg2.errors.CheckViolation",
        "message": 'new row for relation "parts" violates check constraint "parts_kind_known"',
        "stack_trace": TRACEBACK,
    }
    parts.line(12.5, "parts could not be made", SERVED, level="error", error=error, car_id=CAR_ID)
    parts.server(5.1, 16.4, "POST /parts", 500, SERVED, parent=CALL)
    cars.line(25.0, "parts answered 500, the car is taken back", ROOT, level="warning", attempt=1, retry=False)
    cars.server(0, 28.9, "POST /cars", 502, ROOT)
    return events


def aborted() -> list[Event]:
    """The parts process is killed while it works: its span never arrives, cars stops waiting."""
    events: list[Event] = []
    cars, parts = Service("cars", events), Service("parts", events)
    cars.line(0.6, "creating a car", ROOT, name="VW Golf")
    cars.client(3.0, 9.8, "POST http://127.0.0.1:5001/parts", 0, CALL, parent=ROOT)
    parts.line(6.2, "parts wanted", SERVED, car_id=CAR_ID)
    parts.aborted(12.4, 7.3, "POST /parts", SERVED, parent=CALL)
    cars.server(0, 14.1, "POST /cars", 503, ROOT)
    return events


def skewed() -> list[Event]:
    """The host of parts is 2.3 s behind: its work seems to be done before it was asked for."""
    return created(parts_host="parts-1", clock_off_ms=-2300)


def orphaned() -> list[Event]:
    """The call from cars to parts was lost: what parts did hangs in the air."""
    return [event for event in created() if event.get("span.id") != CALL]


def unfinished() -> list[Event]:
    """The span of the request has not arrived (yet), its log lines have."""
    return [event for event in created() if not (event.is_span and event.get("span.id") == ROOT)]


def called_from_outside() -> list[Event]:
    """The request carried a traceparent of somebody who records elsewhere."""
    events: list[Event] = []
    cars = Service("cars", events)
    cars.line(0.6, "listing cars", ROOT, limit=20)
    cars.server(0, 3.2, "GET /cars", 200, ROOT, parent="00f067aa0ba902b7")
    return events


def two_roots() -> list[Event]:
    """One trace id in two requests that know nothing of each other."""
    events: list[Event] = []
    cars = Service("cars", events)
    cars.server(0, 3.2, "GET /cars", 200, ROOT)
    cars.server(9, 2.2, "GET /cars", 200, SERVED)
    return events


def two_traces() -> list[Event]:
    """A caller sent the same request ID twice; the second try is a trace of its own."""
    events: list[Event] = []
    first = Service("cars", events)
    again = Service("cars", events, trace_id="b" * 32, segment="2" * 24)
    first.server(0, 3.2, "POST /cars", 503, ROOT)
    again.line(1000.5, "creating a car", ROOT, name="VW Golf")
    again.server(1000, 41, "POST /cars", 201, ROOT)
    return events


def traceless() -> list[Event]:
    """Lines of a process without tracing."""
    events: list[Event] = []
    worker = Service("worker", events, trace_id="")
    worker.line(0, "sweep begins", "", tags=["mended"], share="NaN")
    worker.line(1200, "sweep is over", "", level="debug", tags=["cut"], cars=["x" * 300])
    return events


def hostile() -> list[Event]:
    """Everything a stranger may put into a log line to get at whoever reads it."""
    events: list[Event] = []
    cars = Service("cars", events)
    cars.line(0.1, "\x1b[2J\x1b]0;owned\x07cleared\rback", ROOT, **{"\x1b[31mred": "\x9b5m"})
    cars.line(0.2, "safe \u202eegassem desrever\u2066 \u200bzero\ufeff", ROOT)
    cars.line(0.3, "<script>alert(1)</script>", ROOT, html="<img src=x onerror=alert(1)>", quote="\"'`")
    cars.line(0.4, "one\ntwo\r\nthree\u2028four", ROOT, lone="\udc80", tab="a\tb")
    cars.line(0.5, "車の部品 naïve 🚗 e\u0301", ROOT, wide="部" * 60)
    cars.line(0.6, "javascript:alert(1)", ROOT, level="\x1b[5mblink", link="javascript:alert(1)")
    cars.server(0, 1, "GET /\x1b[1m<b>", 200, ROOT)
    return events


def long(count=10_000) -> list[Event]:
    """A request of very many events: rounds of a query with three lines."""
    events: list[Event] = []
    cars = Service("cars", events)
    for number in range(count // 4):
        at, span = 1 + number, f"{number + 0x1000:016x}"
        cars.query(at, 0.4, "SELECT id, name FROM cars WHERE id = %s", span, parent=ROOT)
        cars.line(at + 0.1, "row read", span, transaction=ROOT, row=number)
        cars.line(at + 0.2, "row checked", span, transaction=ROOT, row=number, valid=True)
        cars.line(at + 0.5, "row kept", ROOT, row=number, level="debug")
    cars.server(0, 2 + count / 4, "POST /cars/import", 200, ROOT, rows=count // 4)
    return events
