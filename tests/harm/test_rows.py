"""Programs that died, failed or were misled by the values they logged: each lives, and its events are recorded."""

import textwrap

import pytest

from dashcam.testing import Recording

from .doors import DOORS, OF_TEXT
from .programs import run, run_each
from .values import ENDLESS, FAILING, VALUES

CHANGING = """
from decimal import Decimal
from pathlib import Path

class Who:
    def __init__(self, number):
        self.number = number
    def __str__(self):
        return f"who {self.number}"

def row(number):
    return {"price": Decimal(number), "path": Path(f"/{number}"), "who": Who(number), "tags": {Who(number)}}

sys.setswitchinterval(1e-6)
table, is_over = {str(number): row(number) for number in range(50)}, threading.Event()

def change():
    number = 0
    while not is_over.is_set():
        number += 1
        table[str(number % 90)] = row(number)
        table.pop(str((number * 7) % 90), None)

def use(door, of):
    for number in range(300):
        door(table, f"{of}-{number}")

threading.Thread(target=change).start()
using = [threading.Thread(target=use, args=(DOORS[sys.argv[1]], of)) for of in range(3)]
[each.start() for each in using]
[each.join() for each in using]
is_over.set()
"""


@pytest.mark.parametrize("door", ["field", "extra", "logging_extra", "message", "context", "span", "job", "add"])
def test_a_table_that_threads_change(tmp_path, door):
    """Three threads log a dictionary while a fourth adds and removes entries: each call is one event."""
    ended = run(tmp_path, CHANGING, door)

    assert len(set(ended.labels("n"))) == len(ended.labels("n")) == 900
    assert ended.errors == ""


# A value whose text empties what holds it, and fills the memory of what was there.
EMPTYING = """
import collections
class Table(dict): pass
class Rows(list): pass
class Names(set): pass

class Emptying:
    def __str__(self):
        held.clear()
        self.kept = [bytearray(300) for _ in range(200)]
        (held.update if hasattr(held, "update") else held.extend)(list(map(str, range(100, 200))) if not isinstance(held, dict) else {str(n): [n] for n in range(100, 200)})
        return "emptied"
    __repr__ = __str__

def fill(kind):
    values = [Emptying() if number == 3 else [str(number)] * 2 for number in range(40)]
    if issubclass(kind, dict):
        return kind((str(number), value) for number, value in enumerate(values))
    return kind(each if isinstance(each, Emptying) else tuple(each) for each in values)

kinds = {each.__name__: each for each in (dict, list, set, collections.deque, collections.OrderedDict, Table, Rows, Names)}

def use(kind):
    global held
    for name, door in DOORS.items():
        held = fill(kinds[kind])
        door(held, f"{kind}|{name}")
        held = fill(kinds[kind])
        door({"in": [held]}, f"{kind}|in {name}")
"""
KINDS = ("dict", "list", "set", "deque", "OrderedDict", "Table", "Rows", "Names")


@pytest.fixture(scope="module")
def emptied(tmp_path_factory):
    """What each kind of container did to its program."""
    return run_each(tmp_path_factory.mktemp("emptied"), EMPTYING, KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_that_its_value_changes(emptied, kind):
    """A value's text empties and fills the container that is logged, at each door: each call is one event."""
    tried = emptied[kind]

    assert (tried.status, tried.errors) == (0, "")
    assert sorted(tried.recorded) == sorted([*DOORS, *(f"in {name}" for name in DOORS)])


AT_EACH_DOOR = """
def use(value):
    for name, door in DOORS.items():
        if not (value in ENDLESS and name in OF_TEXT):
            door(VALUES[value](), f"{value}|{name}")
"""


@pytest.fixture(scope="module")
def at_each_door(tmp_path_factory):
    """What each odd value did to its program."""
    return run_each(tmp_path_factory.mktemp("values"), AT_EACH_DOOR, VALUES)


@pytest.mark.parametrize("value", VALUES)
def test_a_value_at_each_door(at_each_door, value):
    """Nothing that an odd value does ends the program, reaches the caller or costs the event."""
    tried = at_each_door[value]

    assert (tried.status, tried.errors) == (0, "")
    assert sorted(tried.recorded) == sorted(DOORS.keys() - (OF_TEXT if value in ENDLESS else set()))


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """The events of values that fail."""
    program = """
    def use(name):
        log.info("tried", n=f"{name}|", before=1, value=VALUES[name](), after=[2])
    """
    folder = tmp_path_factory.mktemp("marked")
    run_each(folder, textwrap.dedent(program), FAILING)
    return {event.get("labels")["n"]: event for event in Recording(folder).events()}


@pytest.mark.parametrize("value", FAILING)
def test_the_mark_of_a_value_that_fails(marked, value):
    """In the place of a value that fails is a text, marked as such, and what is beside it is recorded as it is."""
    event = marked[f"{value}|"]

    labels = event.get("labels")
    assert (labels["before"], type(labels["value"]), labels["after"]) == (1, str, [2])
    assert event.get("tags") == ["mended"]


HARMLESS = {
    "member": 1,
    "path": "/cars/7",
    "uuid": "00000000-0000-0000-0000-000000000007",
    "ratio": "1/3",
    "number of 65 bits": "18446744073709551616",
    "infinite": "inf",
    "no number": "nan",
    "bytes": "\ufffd\x00text",
    "first moment": "0001-01-01T00:00:00+23:00",
    "last moment": "9999-12-31T23:59:59.999999+00:00",
    "zone of None": "2026-01-02T03:04:05",
    "user's string": "text",
    "half a character": "\\ud800 and \\udfff",
    "dict that makes": {"a": [1]},
    "pair": ["password", "***"],
    "nothing": None,
}


def test_harmless_values(tmp_path):
    """What a value is recorded as, at each of the doors of a field."""
    doors = ("field", "extra", "bound", "logging_extra", "context", "job", "add", "structlog")
    program = """
    for door in sys.argv[1].split():
        for name in sys.argv[2].split("|"):
            DOORS[door](VALUES[name](), f"{door}|{name}")
    """

    ended = run(tmp_path, program, " ".join(doors), "|".join(HARMLESS))

    for door in doors:
        assert {name: ended.event_of(f"{door}|{name}").get("labels")["value"] for name in HARMLESS} == HARMLESS, door


def test_another_customers_labels(tmp_path):
    """A finalizer that logs for another customer while a context is forgotten gives neither the labels of the other."""
    program = """
    from opentelemetry.context import attach, detach, set_value
    class Customer:
        def __del__(self):
            other.run(log.info, "gone", expected="globex")

    other = contextvars.copy_context()
    other.run(dashcam.context(tenant="globex").__enter__)
    for number in range(200):
        token = attach(set_value("customer", Customer()))
        with dashcam.context(tenant="acme"):
            log.info("here", expected="acme")
        detach(token)
        with dashcam.context(tenant=f"acme {number}"):
            log.info("here", expected=f"acme {number}")
            other.run(log.info, "there", expected="globex")
    """

    ended = run(tmp_path, program)

    assert len(ended.events) >= 600
    assert {event.get("message") for event in ended.events if _is_foreign(event)} == set()


def _is_foreign(event):
    return event.get("labels")["tenant"] != event.get("labels")["expected"]


def test_labels_of_many_threads(tmp_path):
    """Threads whose contexts end at any step, the collector at each allocation, record only their own labels and IDs."""
    program = """
    import gc
    class Ending:
        def __init__(self): self.me = self
        def __del__(self): time.sleep(0); log.info("gone", expected=tenant_of(), rid=dashcam.request_id())

    from opentelemetry.context import get_value
    from dashcam.record.logs.line import CONTEXT_FIELDS
    def tenant_of():
        return (get_value(CONTEXT_FIELDS) or {}).get("tenant")

    def serve(of):
        for number in range(60):
            with dashcam.job("serve", n=f"{of}-{number}"), dashcam.context(tenant=f"{of}-{number}", ending=Ending()):
                for _ in range(5):
                    log.info("here", expected=f"{of}-{number}", rid=dashcam.request_id())
                    plain.info("here", extra={"expected": f"{of}-{number}", "rid": dashcam.request_id()})

    gc.set_threshold(1)
    sys.setswitchinterval(1e-6)
    serving = [threading.Thread(target=serve, args=(of,)) for of in range(4)]
    [each.start() for each in serving]
    [each.join() for each in serving]
    """

    ended = run(tmp_path, program)

    lines = [event for event in ended.events if "expected" in (event.get("labels") or {})]
    assert len(lines) >= 4 * 60 * 10
    assert [event for event in lines if event.get("labels").get("tenant") != event.get("labels")["expected"]] == []
    assert [event for event in lines if event.get("http.request.id", "") != event.get("labels")["rid"]] == []


# A value that signals its own process when it is asked for anything: the handler's exception is the program's.
SIGNALLING = """
import collections, datetime
class TimeLimit(Exception): pass

def handle(number, frame):
    global raised
    raised += 1
    raise kinds[kind]("from the handler")

def asked(*arguments, **options):
    signal.raise_signal(signal.SIGUSR1)

kinds = {each.__name__: each for each in (KeyboardInterrupt, SystemExit, TimeLimit)}
signal.signal(signal.SIGUSR1, handle)
walk = dict.fromkeys(("__iter__", "__len__", "__str__", "__repr__", "keys", "items", "values", "__getitem__", "isoformat"), asked)

class Member(enum.Enum):
    ONE = 1
    value = property(asked)

class Zone(datetime.tzinfo):
    utcoffset = dst = tzname = asked

values = {
    "set": lambda: type("Set", (set,), walk)({1}),
    "list": lambda: type("List", (list,), walk)([1]),
    "tuple": lambda: type("Tuple", (tuple,), walk)([1]),
    "dict": lambda: type("Dict", (dict,), walk)(a=1),
    "mapping": lambda: type("Mapping", (collections.abc.Mapping,), walk)(),
    "text": lambda: type("Text", (), {"__str__": asked, "__repr__": asked})(),
    "in-a-set": lambda: {type("Text", (), {"__str__": asked, "__repr__": asked})()},
    "string": lambda: type("String", (str,), {"__str__": asked, "__len__": asked, "encode": asked})("a"),
    "bytes": lambda: type("Bytes", (bytes,), {"decode": asked, "__getitem__": asked})(b"a"),
    "number": lambda: type("Number", (int,), {"__index__": asked, "__int__": asked, "__str__": asked, "__le__": asked, "__ge__": asked})(7),
    "member": lambda: Member.ONE,
    "moment": lambda: datetime.datetime(2026, 1, 2, tzinfo=Zone()),
    "kind": lambda: type("Kind", (), {"__class__": property(asked)})(),
    "error": lambda: type("Error", (Exception,), {"__str__": asked})("a"),
    "cause": lambda: type("Error", (Exception,), {"__cause__": property(asked)})("a"),
    "truth": lambda: type("Truth", (), {"__bool__": asked, "__len__": asked})(),
}
def use(name):
    global raised, kind
    value, kind = name.split()
    for door in DOORS:
        raised = caught = 0
        try:
            DOORS[door](values[value](), f"{name}|{door}")
        except kinds[kind]:
            caught = 1
        if caught < min(raised, 1):
            print("swallowed at", door, file=sys.stderr)
"""
SIGNALLING_VALUES = (
    *("set", "list", "tuple", "dict", "mapping", "text", "in-a-set", "string", "bytes", "number", "member", "moment"),
    *("kind", "error", "cause", "truth"),
)
INTERRUPTS = [
    f"{value} {kind}" for value in SIGNALLING_VALUES for kind in ("KeyboardInterrupt", "SystemExit", "TimeLimit")
]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """What each value did that signals its own process."""
    return run_each(tmp_path_factory.mktemp("interrupted"), SIGNALLING, INTERRUPTS)


@pytest.mark.parametrize("name", INTERRUPTS)
def test_an_interrupt_reaches_the_program(interrupted, name):
    """What a signal handler raises while a value is walked or asked goes on to the program, at each door."""
    assert (interrupted[name].status, interrupted[name].errors) == (0, "")


def test_interrupts_at_any_moment(tmp_path):
    """A time limit that a timer's handler raises while values are logged ends each of the program's calls."""
    program = """
    import random
    class TimeLimit(Exception): pass
    raised = caught = 0
    def handle(number, frame):
        global raised
        raised += 1
        raise TimeLimit

    class Text:
        def __str__(self): return "".join(chr(97 + number % 26) for number in range(60))

    values = [{Text() for _ in range(9)}, {str(n): Text() for n in range(9)}, [Text()] * 9, Text(), (Text(), enum.Enum("E", "A").A)]
    dice = random.Random(7)
    signal.signal(signal.SIGALRM, handle)
    for number in range(1000):
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-6, 6e-4))
            for _ in range(100):
                log.info("tried", value=values[number % 5])
                plain.info("tried %s", values[number % 5])
        except TimeLimit:
            caught += 1
    print(raised - caught)
    """

    ended = run(tmp_path, program)

    assert ended.output.split() == ["0"]
    assert ended.errors == ""


ATTRIBUTES = (
    *(
        "name",
        "msg",
        "args",
        "levelname",
        "pathname",
        "filename",
        "module",
        "exc_info",
        "exc_text",
        "stack_info",
        "lineno",
    ),
    *("funcName", "created", "msecs", "relativeCreated", "thread", "threadName", "processName", "process"),
)


RECORDS = """
from dashcam.record.context.recorder import current
from dashcam.record.logs.stdlib import record_log

def use(attribute):
    for name, odd in ({"absent": None} | VALUES).items():
        if name in ENDLESS:
            continue
        record = logging.makeLogRecord({"msg": "tried", "levelno": 20, "n": f"{attribute}|{name}"})
        if odd:
            vars(record)[attribute] = odd()
        else:
            del vars(record)[attribute]
        record_log(record, current())
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """What records of odd attributes did to their program."""
    return run_each(tmp_path_factory.mktemp("records"), RECORDS, ATTRIBUTES)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_record_of_any_attributes(records, attribute):
    """A record without an attribute, or with one of any kind, is recorded, and is no fault of Dashcam."""
    tried = records[attribute]

    assert (tried.status, tried.errors) == (0, "")
    assert sorted(tried.recorded) == sorted(["absent", *(name for name in VALUES if name not in ENDLESS)])


def test_records_of_nothing(tmp_path):
    """A record that has nothing, or nothing but its level, is recorded."""
    program = """
    from dashcam.record.context.recorder import current
    from dashcam.record.logs.stdlib import record_log
    bare = logging.LogRecord.__new__(logging.LogRecord)
    bare.levelno = 20
    for record in (logging.makeLogRecord({}), logging.makeLogRecord({"levelno": 20}), bare):
        record_log(record, current())
    """

    ended = run(tmp_path, program)

    assert len(ended.events) == 3
    assert ended.errors == ""
