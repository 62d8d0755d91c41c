"""The events of many car requests, as the shipper hands them over: seven each, from two services."""

import random
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from dashcam.event import EncodedEvent, format_time

EVENTS_A_REQUEST = 7
BETWEEN_EVENTS_US = 1_000

PARTS = (
    "engine",
    "wheels",
    "body",
    "gearbox",
    "seats",
    "doors",
    "mirrors",
    "lamps",
    "tank",
    "brakes",
    "clutch",
    "axle",
)
NAMES = ("VW Golf", "Fiat 500", "BMW i3", "Opel Corsa", "Škoda Octavia")


class Request(NamedTuple):
    """One request's ids and its events."""

    request_id: str
    trace_id: str
    car_id: str
    lines: list[EncodedEvent]


def requests(count: int, start_ns: int, seed: int = 1, between_us: int = BETWEEN_EVENTS_US) -> Iterator[Request]:
    """Requests one after the other, an event each millisecond; every hundredth fails. The seed tells them apart."""
    recorder = _Recorder(random.Random(seed), start_ns, between_us)
    for number in range(count):
        yield recorder.request(is_failure=number % 100 == 99)


class _Recorder:
    def __init__(self, chance: random.Random, start_ns: int, between_us: int) -> None:
        self._chance = chance
        self._between_ns = between_us * 1000
        self._time_ns = start_ns
        self._segments = {service: self._hex(24) for service in ("cars", "parts")}
        self._sequences = dict.fromkeys(self._segments, 0)

    def request(self, *, is_failure: bool) -> Request:
        """POST /cars, which has parts create the components."""
        request_id, car_id, trace_id = self._uuid(), self._uuid(), self._hex(32)
        cars, call, parts = self._hex(16), self._hex(16), self._hex(16)
        http = {"request": {"id": request_id}}
        status = 503 if is_failure else 201
        of_request = {"http": http, "trace": {"id": trace_id}}
        in_cars = of_request | {"span": {"id": cars}, "transaction": {"id": cars}, "log": {"logger": "cars.api"}}
        in_parts = of_request | {"span": {"id": parts}, "transaction": {"id": parts}, "log": {"logger": "parts.api"}}
        name = self._chance.choice(NAMES)
        lines = [
            self._log(
                "cars",
                "info",
                "asking parts for the components",
                in_cars | {"labels": {"car_id": car_id, "name": name}},
            ),
            self._part(in_parts, car_id, is_failure=is_failure),
            self._statement(of_request, parts),
            self._served("parts", of_request | {"parent": {"id": call}}, parts, status),
            self._called(of_request, call, cars, status),
            self._log("cars", "info", "car created", in_cars | {"labels": {"car_id": car_id}}),
            self._served("cars", of_request | {"labels": {"car_id": car_id}}, cars, status),
        ]
        return Request(request_id, trace_id, car_id, lines)

    def _part(self, fields: dict, car_id: str, *, is_failure: bool) -> EncodedEvent:
        labels = {"labels": {"car_id": car_id, "batch": self._chance.randrange(10_000), "wheels": 4}}
        if not is_failure:
            one, other = self._chance.sample(PARTS, 2)
            return self._log("parts", "info", f"{one} and {other} created", fields | labels)
        error = {
            "type": "psycopg2.errors.QueryCanceled",
            "message": "canceling statement due to statement timeout",
            "stack_trace": 'Traceback (most recent call last):\n  File "/srv/parts/api.py", line 42, in create\n' * 5,
        }
        return self._log("parts", "error", "the database timed out", fields | labels | {"error": error})

    def _statement(self, fields: dict, parent: str) -> EncodedEvent:
        span = {"id": self._hex(16), "name": "INSERT", "kind": "client", "type": "db", "subtype": "postgresql"}
        database = {
            "system": "postgresql",
            "name": "parts",
            "statement": "INSERT INTO parts (id, name) VALUES (%s, %s)",
        }
        within = {"parent": {"id": parent}, "transaction": {"id": parent}}
        return self._span("parts", "span", "INSERT", fields | within | {"span": span, "db": database}, "success")

    def _called(self, fields: dict, span_id: str, parent: str, status: int) -> EncodedEvent:
        span = {"id": span_id, "name": "POST", "kind": "client", "type": "external", "subtype": "http"}
        request = {**fields["http"]["request"], "method": "POST"}
        http = {"request": request, "response": {"status_code": status}}
        within = {
            "parent": {"id": parent},
            "transaction": {"id": parent},
            "url": {"full": "http://127.0.0.1:5001/parts"},
        }
        return self._span("cars", "span", "POST", fields | within | {"span": span, "http": http}, _outcome(status))

    def _served(self, service: str, fields: dict, span_id: str, status: int) -> EncodedEvent:
        method, path = "POST", f"/{service}"
        name = f"{method} {path}"
        request = {**fields["http"]["request"], "method": method, "body": {"bytes": 19}}
        served = {
            "span": {"id": span_id, "name": name, "kind": "server"},
            "transaction": {"id": span_id, "name": name, "type": "request", "result": f"HTTP {status // 100}xx"},
            "http": {"request": request, "response": {"status_code": status, "body": {"bytes": 611}}, "route": path},
            "url": {"path": path, "scheme": "http", "domain": "127.0.0.1"},
            "client": {"ip": "127.0.0.1"},
            "user_agent": {"original": "python-requests/2.32.5"},
        }
        return self._span(service, "transaction", name, fields | served, _outcome(status))

    def _span(self, service: str, kind: str, name: str, fields: dict, outcome: str) -> EncodedEvent:
        took_ns = self._chance.randrange(1_000_000, 900_000_000)
        head = {"processor": {"event": kind}, "log.level": "info", "message": name}
        return self._line(service, head | fields, {"duration": took_ns, "outcome": outcome})

    def _log(self, service: str, level: str, message: str, fields: dict) -> EncodedEvent:
        return self._line(service, {"log.level": level, "message": message} | fields, {})

    def _line(self, service: str, fields: dict, event: dict) -> EncodedEvent:
        self._time_ns += self._between_ns
        self._sequences[service] += 1
        sequence = self._sequences[service]
        event_id = f"{self._segments[service]}-{sequence:08}"
        whole = {
            "@timestamp": format_time(self._time_ns),
            **fields,
            "event": {"kind": "event", "dataset": service, "id": event_id, "sequence": sequence, **event},
            "ecs.version": "8.17.0",
            "service": {"name": service, "version": "1.0.0", "environment": "demo", "node": {"name": "laptop"}},
            "process": {"pid": 4242},
            "host": {"name": "laptop"},
            "agent": {"name": "dashcam", "version": "0.1.0"},
        }
        return EncodedEvent(event_id, "processor" in fields, orjson.dumps(whole))

    def _hex(self, digits: int) -> str:
        return f"{self._chance.getrandbits(4 * digits):0{digits}x}"

    def _uuid(self) -> str:
        digits = self._hex(32)
        return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _outcome(status: int) -> str:
    return "success" if status < 500 else "failure"
