"""What is done in C, where there is a compiler, is what is done in Python where there is none."""

import enum
import inspect
import itertools
import logging
import math
import pickle
import time
from collections import OrderedDict, UserDict
from decimal import Decimal
from types import SimpleNamespace
from typing import NamedTuple
from uuid import UUID

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dashcam
from dashcam.record.context import recorder
from dashcam.record.logs import line, logger
from dashcam.record.logs.line import python_encode_call
from dashcam.record.logs.stdlib import _encode_any
from dashcam.record.masking import mask
from dashcam.record.masking.mask import WORDS
from dashcam.record.masking.secret_words import PythonSearch
from dashcam.record.values.plain import python_copy_fields

from ..processes import run
from .masking_corpus import BARE_VALUES, HARDER_NAMES, NAMES, PLANTED
from .ordinary_corpus import ORDINARY

_MISSING = "not compiled: needs a C compiler, then pip install"


@pytest.fixture(scope="module")
def compiled():
    """The module in C."""
    return pytest.importorskip("dashcam.record._speedups", reason=_MISSING, exc_type=ImportError)


@pytest.fixture(scope="module")
def searches():
    """The search in Python, and those in C: as this processor can, and as any processor can."""
    module = pytest.importorskip("dashcam.record._words", reason=_MISSING, exc_type=ImportError)
    return PythonSearch(WORDS), module.Search(WORDS), module.Search(WORDS, with_vectors=False)


signs = st.sampled_from(
    [*" =:'\"\\,()<>%@-_.\n/1aZ`*[]{}", "</", "--", '":"', '","', "value", "values", "null", "***", "\\u001b"]
)
pieces = st.sampled_from([word for word, _ in WORDS]) | signs | st.text(max_size=3)
texts = st.lists(pieces, max_size=9).map("".join)


def _agree(searches, data, start=0):
    found, is_found = {each.find(data, start) for each in searches}, {each.in_json(data) for each in searches}
    return len(found) == len(is_found) == 1


@pytest.mark.fuzz
@given(texts | st.text(), st.integers(-1, 12))
def test_any_text(searches, text, start):
    """The first word of one search is the first word of the other, in a text and in JSON."""
    assert _agree(searches, text.encode(), start)
    assert _agree(searches, orjson.dumps({text: text, "a": [text, 1]}), start)


@pytest.mark.fuzz
@given(
    st.lists(texts | st.text(alphabet="adeiknoprstwy -_", max_size=40), min_size=3, max_size=12).map("".join),
    st.sampled_from([0, 50, 1000]),
)
def test_a_long_text(searches, text, before):
    """A word within one block of 64 bytes, across two, across two of 16 blocks, and beside others that overlap it."""
    assert _agree(searches, ("a" * before + text).encode(), before)
    assert _agree(searches, ("a" * before + text).encode())


@pytest.mark.fuzz
@given(texts, st.lists(st.integers(-1, 40), min_size=2, max_size=6))
def test_any_places_of_one_text(searches, text, starts):
    """In any order: what a search remembers of a text is no answer to another question."""
    data = text.encode()

    assert all(_agree(searches, data, start) for start in starts)


@pytest.mark.parametrize("piece", ["password='", "eyJ-", "token=[", "curl -u "])
def test_python_goes_once_through_a_text(piece):
    """A text of nothing but words takes it a second, not minutes: each word is looked for from the one before it."""
    text, start, search = (piece * 20_000)[:20_000].encode(), 0, PythonSearch(WORDS)
    begun_s = time.process_time()
    while found := search.find(text, start):
        start = found[0] + 1

    assert time.process_time() - begun_s < 4


named_words = st.text(alphabet="abkey_-=:/.", min_size=3, max_size=32).filter(lambda word: word.strip())


@pytest.mark.fuzz
@given(st.lists(st.tuples(named_words, st.integers(0, 5)), min_size=1, max_size=40), st.data())
def test_any_words(searches, words, data):
    """The same of words that nobody has chosen: many share their letters."""
    pieces = st.sampled_from([word for word, _ in words]) | st.sampled_from(" =:ab@1")
    text = "".join(data.draw(st.lists(pieces, max_size=12))).encode()
    is_named_once = len({word.lower() for word, _ in words}) == len(words)
    assume(is_named_once)
    in_c = type(searches[1])

    assert _agree([PythonSearch(words), in_c(words), in_c(words, with_vectors=False)], text)


@pytest.mark.fuzz
@given(st.binary())
def test_any_bytes(searches, data):
    """Not only UTF-8."""
    assert _agree(searches, data)


BEFORE = [
    *("", "b" * 8),
    *(pytest.param(before, marks=pytest.mark.long) for before in ("a", " " * 7, "%41", "\\n", "-" * 60)),
]
AFTER = ("", "=", "=x", ": 1", "a" * 60 + "=", "9" * 8, "@", "aB3456789", '": ', "'\\")


@pytest.mark.parametrize("before", BEFORE)
def test_the_ends_of_a_text(searches, before):
    """Nothing is looked for before the first letter or behind the last, at whatever place a word stands."""
    for place, ((word, _), after) in enumerate(itertools.product(WORDS, AFTER)):
        data = (" " * (place % 9) + before + word + after).encode()
        assert _agree(searches, data), data


def test_the_corpora(searches):
    """The same for each planted secret and each ordinary message."""
    for text in [*(text for _, text, _ in PLANTED), *ORDINARY]:
        assert _agree(searches, text.encode()), text


@pytest.mark.parametrize(
    "words", [None, 1, [1], [("ab", 0)], [("abc", 9)], [("a" * 33, 0)], [("abc",)], [("abc", 0)] * 5000]
)
def test_words_that_it_does_not_take(searches, words):
    """An error, as of any function."""
    with pytest.raises((TypeError, ValueError)):
        type(searches[1])(words)


class Ratio(enum.Enum):
    HALF = 0.5
    INFINITE = math.inf
    LIST = [0] * 501


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: float
    y: float


ODD = [
    *Ratio,
    *Level,
    Point(1, 2),
    Point(1, math.nan),
    {1, 2},
    {math.inf},
    frozenset({"a"}),
    b"x",
    Decimal(1),
    object(),
]
ODD += [OrderedDict(a=1), OrderedDict(a=math.nan), UserDict(a=1)]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.uuids() | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
WIDE = [
    ["x" * 8000],
    ["x" * 8001],
    ["é" * 2000],
    ["é" * 2001],
    [0] * 500,
    [0] * 501,
    {"x" * 64: 0},
    {"x" * 65: 0},
    {"\0": 0},
]


@pytest.mark.fuzz
@given(st.dictionaries(st.text(), values | st.sampled_from(WIDE)))
def test_any_fields(compiled, fields):
    """The copy of one is the copy of the other, or both leave it to the sanitizer."""
    assert compiled.copy_fields(fields) == python_copy_fields(fields)


@pytest.mark.parametrize("value", WIDE)
@pytest.mark.parametrize("depth", [0, 8, 9, 10, 11])
def test_the_limits(compiled, value, depth):
    """Lengths, numbers of items and depths: the last one that is plain, and the first one that is not."""
    for _ in range(depth):
        value = {"down": value, "id": UUID(int=7)}

    assert compiled.copy_fields({"value": value}) == python_copy_fields({"value": value})


class _Broken:
    def __str__(self):
        raise ValueError("no text")


said = st.sampled_from(["password=hunter2", "GET /?token=aB3456789012 HTTP/1.1", "x" * 20_000, "a\tb", "\ud800"])
spoken = st.text() | said | st.none() | st.sampled_from([7, b"x", _Broken()])
named = st.text(max_size=9) | st.sampled_from(["password", "exc_info", "stack_info", "api_key", "x" * 70])


@pytest.mark.fuzz
@given(
    st.integers(0, 10**19 - 1),
    spoken,
    st.dictionaries(named, values | said | st.sampled_from([_Broken(), ValueError()])),
)
def test_any_line(compiled, time_ns, message, fields):
    """The bytes of one are the bytes of the other, whatever is said; within a request and a context, too."""
    call = (time_ns, "info", message, fields, b',"event":{}}\n')

    assert compiled.encode_call(*call) == python_encode_call(*call)
    with dashcam.context(tenant="acme", password="hunter2"):
        assert compiled.encode_call(*call) == python_encode_call(*call)


OTHERS = [{}, {"car_id": 7}, {"note": "token=aB3456789012"}, {"price": Decimal(7)}, {"user": {"api_key": "aB3456789"}}]


@pytest.mark.parametrize("others", OTHERS)
def test_texts_with_a_name_of_their_own(compiled, others):
    """The bytes of both have no secret, whatever its name, and whatever stands beside it: another one, too."""
    for name, value in itertools.product([*NAMES, *HARDER_NAMES], [*BARE_VALUES, "", "***", "true", "a wheel"]):
        call = (7, "info", "logged in", {**others, name: value, "user": "ann"}, b',"event":{}}\n')
        line = compiled.encode_call(*call)

        assert line == python_encode_call(*call), (name, value)
        assert line.count(b"aB3456789") == 0


class _Twice(set):
    """It can be read twice."""

    reads = 0

    def __iter__(self):
        self.reads += 1
        if self.reads > 2:
            raise ValueError("read again")
        return iter(["a"])


def test_a_value_that_cannot_be_written_again(compiled):
    """The line has what was written of it at first, and no secret."""
    for encode in (compiled.encode_call, python_encode_call):
        line = encode(7, "info", "logged in", {"password": "hunter2", "seen": _Twice("a")}, b"}\n")

        assert b'"labels":{"password":"***","seen":["a"]}' in line


CALLS = {
    "fields": lambda log: log.info("car created", car_id=7),
    "no fields": lambda log: log.warning("a wheel"),
    "nothing": lambda log: log.info(),
    "arguments": lambda log: log.info("%d wheels", 4, colour="red"),
    "extra": lambda log: log.info("a wheel", extra={"size": 17}),
    "an exception": lambda log: log.error("failed", exc_info=ValueError("flat")),
    "names made at run time": lambda log: log.info("a wheel", **{"extra_"[:5]: {"size": 17}, "b" * 3: 1}),
    "a secret": lambda log: log.info("login", password="hunter2"),
    "a value without a text": lambda log: log.info("odd", value=_Broken()),
    "a number as message": lambda log: log.info(7),
    "below the level": lambda log: log.debug("unseen"),
    "bound fields": lambda log: log.bind(car_id=7).info("a wheel"),
}


@pytest.mark.parametrize("name", CALLS)
def test_any_log_call(recording, monkeypatch, name):
    """A log call in C records what the same call in Python does."""
    dashcam.init("cars")
    CALLS[name](logger.Logger("test_speedups"))
    monkeypatch.setattr(logger, "_StraightCall", None)
    CALLS[name](logger.Logger("test_speedups"))

    told = [{**event.fields, "@timestamp": "", "event": {}} for event in recording.events()]
    assert told[: len(told) // 2] == told[len(told) // 2 :]
    assert len(told) == (0 if name == "below the level" else 2)


def test_a_log_call_looks_like_one(compiled):
    """Its signature is that of the call in Python."""
    call = logger.Logger("test_speedups").info

    assert isinstance(call, compiled.LogCall)
    assert str(inspect.signature(call)) == str(inspect.signature(call.__wrapped__))
    assert pickle.loads(pickle.dumps(logger.Logger("test_speedups"))).name == "test_speedups"


def test_a_recorder_that_fails(compiled, recording, monkeypatch):
    """What goes wrong in recording is counted, and never raised."""
    dashcam.init("cars")
    failures = []
    monkeypatch.setattr(recorder.current(), "append", lambda _: failures.append(1) or 1 / 0)
    monkeypatch.setattr(recorder, "drop", failures.append)

    logger.Logger("test_speedups").info("car created", car_id=7)

    assert failures == [1, "error"]


def _handed_over():
    return {
        "recorder": dict(vars(recorder)),
        "masking": dict(vars(mask)),
        "own_names": line.OWN_NAMES,
        **dict.fromkeys(("get_current", "parts_of", "dumps", "convert", "encode_any", "mask", "give_up"), print),
    }


@pytest.mark.parametrize("name", _handed_over())
def test_a_name_that_is_not_handed_over(compiled, name):
    """An ImportError that says which, instead of log calls that take the long way without a word."""
    handed = _handed_over()
    del handed[name]

    with pytest.raises(ImportError, match=name):
        compiled.use(**handed)
    with pytest.raises(ImportError, match="another"):
        compiled.use(**_handed_over(), another=1)


@pytest.mark.parametrize(
    ("where", "name"),
    [("recorder", "_others"), ("recorder", "_current"), ("masking", "has_word"), ("own_names", "created")],
)
def test_a_name_that_has_changed(compiled, where, name):
    """The same of a name within what is handed over, and of an attribute of a recorder."""
    handed = _handed_over()
    changed = handed[where]
    handed[where] = tuple(each for each in changed if each != name) if where == "own_names" else {**changed}
    if where != "own_names":
        del handed[where][name]

    with pytest.raises(ImportError, match=name):
        compiled.use(**handed)


@pytest.mark.parametrize("name", ["console", "min_level", "append"])
def test_an_attribute_of_a_recorder_that_has_changed(compiled, name):
    """It is found when the package is imported."""
    handed = _handed_over()
    kept = {each: 1 for each in ("console", "min_level", "append") if each != name}
    handed["recorder"]["_current"] = SimpleNamespace(**kept)

    with pytest.raises(ImportError, match=name):
        compiled.use(**handed)


BOUND = """
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
log.info("first")
log.bind(car_id=7, size=17, bay="north").info("second", bay="south", wheels={1})
log.bind(exc_info="text").info("third", car_id=8)
with dashcam.context(bay="east", tenant="acme"):
    log.bind(bay="west").info("fourth")
"""


def test_bound_fields_after_a_call_of_the_logger_itself(recording):
    """They are on the call, also when the logger's level has been looked up before, by a logger without handlers."""
    run(BOUND, env=recording.environment | {"DASHCAM_CONSOLE": "off"})

    assert [event.labels for event in recording.events()] == [
        {},
        {"car_id": 7, "size": 17, "bay": "south", "wheels": [1]},
        {"car_id": 8},
        {"bay": "west", "tenant": "acme"},
    ]


@pytest.mark.fuzz
@given(
    spoken,
    st.fixed_dictionaries(
        {
            "exc_info": st.sampled_from([None, "text", (None, None, None), (ValueError, ValueError("flat"), None)]),
            "stack_info": st.sampled_from([None, "", "Stack (most recent call last):\n  a"]),
            "created": st.floats() | st.none() | st.just(1795484146.25),
        }
    ),
    st.dictionaries(named | st.sampled_from(["message", "asctime"]), values),
)
def test_any_record(compiled, message, own, extra):
    """The bytes of a record are the same, or it is left to Python."""
    record = logging.LogRecord("cars", 20, "cars.py", 7, message, (), None, "drive")
    record.__dict__ |= own | extra
    call = ("info", message, b',"event":{}}\n')

    line = compiled.encode_record(record.__dict__, *call)

    if line is not None:
        assert line == _encode_any(record.__dict__, None, *call)
    elif own["created"] == 1795484146.25:
        is_short = record.exc_info is record.stack_info is None
        assert not is_short or extra.keys() & {"message", "asctime"}


@pytest.mark.parametrize(
    "arguments", [(), (b"",), ("text", 1), (b"", "1"), (b"", 1, 1), (b"", 10**30), ({}, "1"), ([],), ([], frozenset())]
)
@pytest.mark.parametrize("name", ["encode_call", "encode_record", "copy_fields", "use", "LogCall"])
def test_what_it_does_not_take(compiled, name, arguments):
    """An error, as of any function."""
    with pytest.raises((TypeError, OverflowError)):
        getattr(compiled, name)(*arguments)


WITHOUT = """
import sys
sys.modules["dashcam.record._speedups"] = None  # as where they could not be compiled
sys.modules["dashcam.record._words"] = None
import logging
import dashcam
from dashcam.record.logs import line, logger, stdlib
from dashcam.record.masking import secret_words
from dashcam.record.values import plain
assert line.encode_call is line.python_encode_call
assert logger._StraightCall is None
assert plain.copy_fields is plain.python_copy_fields
assert secret_words.compile_words is secret_words.PythonSearch
assert stdlib._encode_straight({}, "info", "m", b"") is None
dashcam.init("cars")
dashcam.get_logger("cars").info("car created", car_id=7, note="password=hunter2")
logging.getLogger("library").info("a wheel", extra={"size": 17})
"""


def test_without_it(recording):
    """The same is recorded."""
    run(WITHOUT, env=recording.environment)

    missing, *events = recording.events()
    assert missing.get("message").startswith("the compiled parts are missing")
    assert [event.labels for event in events] == [{"car_id": 7, "note": "password=***"}, {"size": 17}]
