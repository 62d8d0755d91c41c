"""A few hundred events of every kind a store has to find again, the same ones in every run."""

import random

import orjson

from dashcam.event import NS_PER_S, EncodedEvent, Event, format_time, parse_time

START_NS = parse_time("2026-11-23T08:00:00Z")
"""The time of the first event; the others follow within three hours."""

HOSTILE = [
    "",
    " ",
    "a*b?c",
    'quote " and \\ backslash',
    "'; DROP TABLE events; --",
    "%s %d {} ${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "tab\tand\nnewline",
    "null",
    "a:b AND (c OR d)",
    "../../etc/passwd",
    "VW Golf",
    "Škoda Octavia",
    "東京タワー",
    "🚗🚙",
    "e\u0301clair",
    "İstanbul",
    "\u202eright to left",
    "x" * 7_000,
]
STACK = 'Traceback (most recent call last):\n  File "/srv/parts/api.py", line 42, in create\n{}: {}'
ODD_LABELS = [
    {},
    {"flag": True},
    {"flag": False},
    {"flag": "true"},
    {"flag": None},
    {"ratio": 0.25, "change": -5},
    {"ratio": 4.0, "change": 5},
    {"big": 2**53 + 1},
    {"big": -(2**63)},
    {"car_id": "7"},
    {"car_id": "007"},
    {"tags": ["red", "fast"], "none": []},
    {"order": {"id": 7, "lines": [{"sku": "A-1"}, {"sku": "B-2"}]}},
    {"order.id": 8, "a.b.c": "dotted"},
    {"größe": "XXL", "with blank": "yes", "level": "shadow", "UPPER": "Case"},
    {"uuid": "0193a1b2-c3d4-7e5f-8a6b-0123456789ab", "mail": "a+b@example.com", "path": "/a/b//c"},
]


def lines() -> list[EncodedEvent]:
    """The events as the shipper hands them over, not in the order of their times, one of them twice."""
    made = _Recorder(random.Random(7))
    for number in range(40):
        made.request(number)
    made.hostile()
    made.same_moment()
    made.odd_ones()
    shuffled = list(made.lines)
    random.Random(8).shuffle(shuffled)
    return [*shuffled, shuffled[0]]


def requests(count: int) -> list[EncodedEvent]:
    """The events of so many requests, `req-0000` and on, in the order they were recorded."""
    made = _Recorder(random.Random(7))
    for number in range(count):
        made.request(number)
    return made.lines


def events() -> list[Event]:
    """The same events as any store gives all of them: oldest first, each once."""
    by_id = {line.id: Event.from_json(line.data) for line in lines()}
    return sorted(by_id.values(), key=lambda event: (event.time_ns, event.id))


class _Recorder:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.lines: list[EncodedEvent] = []
        self.now_ns = START_NS

    def request(self, number: int) -> None:
        """One POST /cars through cars and parts; each fifth one fails in parts, each thirteenth is aborted."""
        trace = {"trace": {"id": self._hex(32)}, "http": {"request": {"id": f"req-{number:04d}"}}}
        call = self._hex(16)
        parts = trace | _within(self._hex(16))
        labels = {"car_id": number % 7, "name": self.chance.choice(["VW Golf", "VW Polo", "Fiat 500", "golf"])}
        cars = trace | _within(self._hex(16)) | {"labels": labels}
        failed, aborted = number % 5 == 4, number % 13 == 12
        self.log("cars", "debug", "asking parts for the components", cars)
        if failed:
            self.error(parts, f"the wheels of car {number} timed out")
        else:
            wheels = 4 + number % 3
            self.log("parts", "info", f"{wheels} wheels created", parts | {"labels": {"wheels": wheels}})
        self.database(trace, parts["span"]["id"])
        self.served("parts", "POST /parts", parts | {"parent": {"id": call}}, 503 if failed else 201)
        self.client(trace, call, cars["span"]["id"], 503 if failed else 201)
        if aborted:
            self.aborted(cars)
            return
        self.log("cars", "warning" if failed else "info", "no car" if failed else "car created", cars)
        self.served("cars", "POST /cars", cars, 503 if failed else 201)

    def log(self, service: str, level: str, message: str, fields: dict) -> None:
        """One log line."""
        self.add(service, {"log.level": level, "message": message, "log": {"logger": f"{service}.api"}} | fields)

    def error(self, fields: dict, text: str) -> None:
        """One error of parts with its stack trace."""
        name = self.chance.choice(["requests.exceptions.ReadTimeout", "psycopg2.errors.UniqueViolation", "ValueError"])
        error = {"type": name, "message": text, "stack_trace": STACK.format(name, text)}
        self.log("parts", "error", "Request failed: parts", fields | {"error": error})

    def served(self, service: str, name: str, fields: dict, status: int) -> None:
        """One request served."""
        method, route = name.split()
        took_ns = self.chance.randrange(1_000_000, 900_000_000)
        request = {**fields["http"]["request"], "method": method, "body": {"bytes": 19}}
        span = {
            "processor": {"event": "transaction"},
            "log.level": "info",
            "message": name,
            "span": fields["span"] | {"name": name, "kind": "server"},
            "transaction": fields["span"] | {"name": name, "type": "request", "duration": {"us": took_ns // 1000}},
            "timestamp": {"us": self.now_ns // 1000},
            "http": {"request": request, "response": {"status_code": status, "body": {"bytes": 611}}, "route": route},
            "url": {"path": route, "scheme": "http", "domain": "127.0.0.1", "query": "dry=1&x=%2F"},
            "client": {"ip": "127.0.0.1"},
            "user_agent": {"original": "Mozilla/5.0 (X11; Linux x86_64)"},
            "event": {"duration": took_ns, "outcome": "success" if status < 500 else "failure"},
        }
        self.add(service, fields | span)

    def client(self, trace: dict, span: str, parent: str, status: int) -> None:
        """One call of parts by cars."""
        took_ns = self.chance.randrange(1_000_000, 900_000_000)
        fields = {
            "processor": {"event": "span"},
            "log.level": "info",
            "message": "POST",
            "span": {"id": span, "name": "POST", "kind": "client", "type": "external", "subtype": "http"},
            "parent": {"id": parent},
            "trace": trace["trace"],
            "http": {
                "request": {**trace["http"]["request"], "method": "POST"},
                "response": {"status_code": status},
            },
            "url": {"full": "http://parts:5001/parts?car=1#top"},
            "event": {"duration": took_ns, "outcome": "success" if status < 500 else "failure"},
        }
        self.add("cars", fields)

    def database(self, trace: dict, parent: str) -> None:
        """One statement."""
        fields = {
            "processor": {"event": "span"},
            "log.level": "info",
            "message": "INSERT",
            "span": {"id": self._hex(16), "name": "INSERT", "kind": "client", "type": "db", "subtype": "postgresql"},
            "parent": {"id": parent},
            **trace,
            "db": {
                "system": "postgresql",
                "name": "parts",
                "statement": "INSERT INTO parts (id, name) VALUES (%s, %s)",
            },
            "event": {"duration": self.chance.randrange(100_000, 9_000_000), "outcome": "unknown"},
        }
        self.add("parts", fields)

    def aborted(self, fields: dict) -> None:
        """One request whose worker died."""
        http = {"request": {**fields["http"]["request"], "method": "POST"}, "route": "/cars"}
        event = {"action": "request-aborted", "outcome": "failure", "duration": 30_000_000_000}
        self.log("cars", "error", "request aborted: the process ended", fields | {"http": http, "event": event})

    def hostile(self) -> None:
        """Each hostile text as a message and as a label."""
        for number, text in enumerate(HOSTILE):
            self.log("odd-service", "info", text, {"labels": {"hostile": text, "number": number}})

    def same_moment(self) -> None:
        """Many events of one microsecond: only their ids tell an order."""
        now_ns = self.now_ns
        for number in range(30):
            self.now_ns = now_ns
            self.log("burst", "info", f"tick {number}", {"labels": {"tick": number}})

    def odd_ones(self) -> None:
        """Labels of every JSON type, names with dots, long texts, the edges of numbers."""
        for labels in ODD_LABELS:
            self.log("odd-service", "critical", "odd labels", {"labels": labels})
        self.log("odd-service", "info", f"start {'word ' * 12_000}needle", {})
        self.log("odd-service", "info", "mended text", {"tags": ["cut", "mended"]})
        self.log("ODD", "info", "HTTP/1.1 snake_case CamelCase kebab-case 3.14 1,000 a.b.c", {})

    def add(self, service: str, fields: dict) -> None:
        """One event with what all of them have; the next one is up to 30 s later."""
        sequence = len(self.lines)
        event_id = f"{'0193a1b2c3d4e5f6' if service == 'cars' else 'fe93a1b2c3d4e5f6'}01020304-{sequence:08d}"
        event = {"kind": "event", "dataset": service, "id": event_id, "sequence": sequence}
        shared = {
            "ecs.version": "8.17.0",
            "service": {"name": service, "version": "1.0.0", "environment": "demo", "node": {"name": "laptop"}},
            "process": {"pid": 4242 + len(service)},
            "host": {"name": "laptop.local"},
            "agent": {"name": "dashcam", "version": "0.1.0"},
        }
        line = {"@timestamp": format_time(self.now_ns), **fields, "event": event | fields.get("event", {}), **shared}
        self.lines.append(EncodedEvent(event_id, "processor" in fields, orjson.dumps(line)))
        self.now_ns += self.chance.randrange(1, 30 * NS_PER_S)

    def _hex(self, digits: int) -> str:
        return f"{self.chance.getrandbits(4 * digits):0{digits}x}"


def _within(span: str) -> dict:
    return {"span": {"id": span}, "transaction": {"id": span}}
