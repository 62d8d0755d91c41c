"""A search text as an expression, and what is said of one that cannot be read."""

import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dashcam.errors import QueryError
from dashcam.event import Event
from dashcam.find.language import parse
from dashcam.find.query import All, Any, Between, Equals, Everything, Exists, Matches, Not, Words

MS_NS = 1_000_000
CARS, PARTS = Equals("service.name", "cars"), Equals("service.name", "parts")


@pytest.mark.parametrize("text", ["", "  \n", "*", "(*)"])
def test_everything(text):
    """A blank text and a star mean every event."""
    assert parse(text) == Everything()


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("timed", Words("timed")),
        ('"timed out"', Words("timed out")),
        ("time*", Words("time", prefix=True)),
        ("/cars/7", Words("/cars/7")),
        ("don't", Words("don't")),
        ("'a'", Words("'a'")),
        (r"a\"b", Words('a"b')),
        (r'"say \"hi\" \\ \n"', Words(r'say "hi" \ \n')),
        ("message:time*", Words("time", "message", prefix=True)),
        ("error:ReadTimeout", Words("ReadTimeout", "error.type")),
        ('error.message:"timed out"', Words("timed out", "error.message")),
        ("message:*time*", Matches("message", "*time*")),
        ("TO", Words("TO")),
    ],
)
def test_words(text, expression):
    """Without a field, and in a field that full-text search looks into, a value is words."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("service:parts", PARTS),
        ("service: parts", PARTS),
        ("service.name:parts", PARTS),
        ("path:/cars/7", Equals("url.path", "/cars/7")),
        ("path:/cars/*", Matches("url.path", "/cars/*")),
        ("method:post", Equals("http.request.method", "POST")),
        ("trace:ABCDEF", Equals("trace.id", "abcdef")),
        ("request:Ab-1", Equals("http.request.id", "Ab-1")),
        ("tags:cut", Equals("tags", "cut")),
        ("car_id:7", Equals("labels.car_id", "7")),
        ("labels.car_id:7", Equals("labels.car_id", "7")),
        ("a.b:7", Equals("labels.a.b", "7")),
        ('name:"VW Golf"', Equals("labels.name", "VW Golf")),
        ('name:"a*b"', Equals("labels.name", "a*b")),
        ('name:""', Equals("labels.name", "")),
        (r"name:a\*b", Equals("labels.name", "a*b")),
        (r"name:a\*b\:*", Matches("labels.name", r"a\*b:*")),
        (r"na\:me:x", Equals("labels.na:me", "x")),
        ("name:?", Matches("labels.name", "?")),
        ("change:-5", Equals("labels.change", "-5")),
        ("change:-x", Not(Equals("labels.change", "x"))),
        ("car_id:*", Exists("labels.car_id")),
        ("error:*", Exists("error.type")),
        ("level:Warn", Equals("log.level", "warning")),
        ("duration:1.5ms", Equals("event.duration", "1500000")),
    ],
)
def test_fields(text, expression):
    """A short name stands for its field, any other name for a label."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("duration:>250ms", Between("event.duration", low=250 * MS_NS, low_inclusive=False)),
        ("duration:<=1.5s", Between("event.duration", high=1500 * MS_NS)),
        ("duration:[1us TO 2h]", Between("event.duration", 1000, 7200 * 1000 * MS_NS)),
        ("status:>=500", Between("http.response.status_code", low=500)),
        ("status:5xx", Between("http.response.status_code", 500, 599)),
        ("wheels:{3 TO 4.5]", Between("labels.wheels", 3, 4.5, low_inclusive=False)),
        ("wheels:[* TO 4}", Between("labels.wheels", None, 4, high_inclusive=False)),
        ("t:[-5 TO -1]", Between("labels.t", -5, -1)),
        ("t:>-5", Between("labels.t", low=-5, low_inclusive=False)),
        ('t:<"7"', Between("labels.t", high=7, high_inclusive=False)),
        ("level:>=error", Any((Equals("log.level", "error"), Equals("log.level", "critical")))),
        ("level:[info TO warn}", Any((Equals("log.level", "info"),))),
        ("t:(>1 <3)", All((Between("labels.t", low=1, low_inclusive=False), parse("t:<3")))),
    ],
)
def test_ranges(text, expression):
    """Bounds are numbers, durations with a unit, or levels by their weight."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("a b", All((Words("a"), Words("b")))),
        ("a AND b AND c", All((Words("a"), Words("b"), Words("c")))),
        ("a OR b", Any((Words("a"), Words("b")))),
        ("NOT a", Not(Words("a"))),
        ("-a", Not(Words("a"))),
        ("a -b", All((Words("a"), Not(Words("b"))))),
        ("+a", Words("a")),
        ("a or b", All((Words("a"), Words("or"), Words("b")))),
        ("a b OR c", All((Words("a"), Any((Words("b"), Words("c")))))),
        ("a OR b c", All((Any((Words("a"), Words("b"))), Words("c")))),
        ("a AND b OR c", Any((All((Words("a"), Words("b"))), Words("c")))),
        ("(a b) OR c", Any((All((Words("a"), Words("b"))), Words("c")))),
        ("service:(cars OR parts)", Any((CARS, PARTS))),
        ("service:(cars OR NOT parts) a", All((Any((CARS, Not(PARTS))), Words("a")))),
    ],
)
def test_operators(text, expression):
    """AND binds closest, then OR, then a blank."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ('level:error "timed out', 12, "quote is never closed"),
        ('a-"b c"', 2, "A quote begins a value"),
        ("(a b", 4, "ends where"),
        ("a) b", 1, "')' is not expected"),
        ("a AND", 5, "ends where"),
        ("a OR OR b", 5, "'OR' is not expected"),
        ("service:", 8, "ends where"),
        ("a\\", 1, "backslash"),
        ("time~", 4, "~ has no meaning"),
        ("time^2", 4, "^ has no meaning"),
        ("/a/ )", 4, "')' is not expected"),
        ("url.full:http://x:1/", 9, "put a value that holds ':' in quotes"),
        ("a level:eror", 8, "'eror' is not a level. Known: debug, info, warning, error, critical."),
        ("duration:>250", 10, "number with a unit, such as 250ms"),
        ("duration:>9parsecs", 10, "number with a unit"),
        ("duration:-", 10, "ends where"),
        ("status:>many", 8, "'many' is none"),
        ("status:[1 TO x]", 13, "'x' is none"),
        (">5", 0, "needs a field"),
        ("*out", 0, "'*out' has no field"),
        ("&&", 0, "no letter or digit"),
        ('"..."', 0, "no letter or digit"),
        ("@timestamp:>5", 0, "--since"),
        ("a \ud83d", 2, "no character"),
        ("a" * 8001, 8000, "at most 8000 characters"),
        ("(" * 60 + "a" + ")" * 60, 51, "at most 50 deep"),
        ("-" * 60 + "a", 51, "at most 50 deep"),
    ],
)
def test_what_is_said_of_a_text_that_cannot_be_read(text, position, says):
    """The error has the place and what is allowed there."""
    with pytest.raises(QueryError) as caught:
        parse(text)

    assert says in str(caught.value)
    assert caught.value.position == position


SIGNS = st.sampled_from(
    [*"\"()[]{}<>=:+-~^\\/*?!&|' \t\n.,", "AND", "OR", "NOT", "TO", " ", "level", "duration", "5ms"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(SIGNS | st.text(max_size=3), max_size=25).map("".join))
@example("\ufeff")
@example("a:\\\n")
@example('/"~;"')
def test_any_text_is_read_or_refused(text):
    """Whatever is typed gives an expression that can be held against an event, or a QueryError within the text."""
    position, answer = _tried(text)

    assert 0 <= position <= len(text)
    assert answer in {True, False, None}


def _tried(text):
    try:
        return 0, parse(text).matches(Event({"message": text}))
    except QueryError as fault:
        return fault.position, None


def test_the_grammar_comes_silently(tmp_path):
    """Reading a search makes no files, says nothing, and makes no tables, even if the grammar's docstrings changed."""
    other_docstrings = "import luqum.parsetab, ply.yacc; luqum.parsetab._lr_signature = ply.yacc.LRGeneratedTable = ''"
    code = f"{other_docstrings}; import os, dashcam.find.language as l; print(l.parse('a'), os.listdir())"

    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == "Words(text='a', field='', prefix=False) []\n"
