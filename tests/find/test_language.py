"""A search text as an expression, and what is said of one that cannot be read."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashcam.errors import QueryError
from dashcam.event import Event
from dashcam.find.language import parse
from dashcam.find.query import And, Exists, MatchAll, Not, Or, Phrase, Range, Term, Wildcard

MS_NS = 1_000_000
CARS, PARTS = Term("service.name", "cars"), Term("service.name", "parts")


@pytest.mark.parametrize("text", ["", "  \n", "*", "(*)", "*:*"])
def test_everything(text):
    """A blank text, a star and two mean every event."""
    assert parse(text) == MatchAll()


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("timed", Phrase("timed")),
        ('"timed out"', Phrase("timed out")),
        ("time*", Phrase("time", prefix=True)),
        ("/cars/7", Phrase("/cars/7")),
        ("don't", Phrase("don't")),
        ("'a'", Phrase("'a'")),
        (r"a\"b", Phrase('a"b')),
        (r'"say \"hi\" \\ \n"', Phrase(r'say "hi" \ \n')),
        ("message:time*", Phrase("time", "message", prefix=True)),
        ("error:ReadTimeout", Phrase("ReadTimeout", "error.type")),
        ('error.message:"timed out"', Phrase("timed out", "error.message")),
        ("message:*time*", Wildcard("message", "*time*")),
        ("TO", Phrase("TO")),
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
        ("path:/cars/7", Term("url.path", "/cars/7")),
        ("path:/cars/*", Wildcard("url.path", "/cars/*")),
        ("method:post", Term("http.request.method", "POST")),
        ("trace:ABCDEF", Term("trace.id", "abcdef")),
        ("request:Ab-1", Term("http.request.id", "Ab-1")),
        ("tags:cut", Term("tags", "cut")),
        ("car_id:7", Term("labels.car_id", "7")),
        ("labels.car_id:7", Term("labels.car_id", "7")),
        ("a.b:7", Term("labels.a.b", "7")),
        ('name:"VW Golf"', Term("labels.name", "VW Golf")),
        ('name:"a*b"', Term("labels.name", "a*b")),
        ('name:""', Term("labels.name", "")),
        (r"name:a\*b", Term("labels.name", "a*b")),
        (r"name:a\*b\:*", Wildcard("labels.name", r"a\*b:*")),
        (r"na\:me:x", Term("labels.na:me", "x")),
        ("name:?", Wildcard("labels.name", "?")),
        ("change:-5", Term("labels.change", "-5")),
        ("change:-x", Not(Term("labels.change", "x"))),
        ("car_id:*", Exists("labels.car_id")),
        ("error:*", Exists("error.type")),
        ("level:Warn", Term("log.level", "warning")),
        ("duration:1.5ms", Term("event.duration", "1500000")),
        ("outcome:aborted", Term("event.action", "request-aborted")),
    ],
)
def test_fields(text, expression):
    """A short name stands for its field, any other name for a label."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("request_id", "http.request.id"),
        ("requestId", "http.request.id"),
        ("X-Request-ID", "http.request.id"),
        ("trace_id", "trace.id"),
        ("traceId", "trace.id"),
        ("span_id", "span.id"),
        ("message_id", "event.id"),
        ("status_code", "http.response.status_code"),
        ("service_name", "service.name"),
    ],
)
def test_usual_spellings(name, field):
    """Another usual name of a field finds it, and the label of that name."""
    assert parse(f"{name}:7") == Or((Term(field, "7"), Term(f"labels.{name}", "7")))
    assert parse(f"{name}:*") == Or((Exists(field), Exists(f"labels.{name}")))


def test_a_message_by_a_short_name():
    """It is searched for words, as the message is."""
    assert parse('msg:"timed out"') == Or((Phrase("timed out", "message"), Term("labels.msg", "timed out")))


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("duration:>250ms", Range("event.duration", low=250 * MS_NS, low_inclusive=False)),
        ("duration:<=1.5s", Range("event.duration", high=1500 * MS_NS)),
        ("duration:[1us TO 2h]", Range("event.duration", 1000, 7200 * 1000 * MS_NS)),
        ("status:>=500", Range("http.response.status_code", low=500)),
        ("status:5xx", Range("http.response.status_code", 500, 599)),
        ("wheels:{3 TO 4.5]", Range("labels.wheels", 3, 4.5, low_inclusive=False)),
        ("wheels:[* TO 4}", Range("labels.wheels", None, 4, high_inclusive=False)),
        ("t:[-5 TO -1]", Range("labels.t", -5, -1)),
        ("t:>-5", Range("labels.t", low=-5, low_inclusive=False)),
        ('t:<"7"', Range("labels.t", high=7, high_inclusive=False)),
        ("level:>=error", Or((Term("log.level", "error"), Term("log.level", "critical")))),
        ("level:[info TO warn}", Or((Term("log.level", "info"),))),
        ("t:(>1 <3)", And((Range("labels.t", low=1, low_inclusive=False), parse("t:<3")))),
    ],
)
def test_ranges(text, expression):
    """Bounds are numbers, durations with a unit, or levels by their weight."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("a b", And((Phrase("a"), Phrase("b")))),
        ("a AND b AND c", And((Phrase("a"), Phrase("b"), Phrase("c")))),
        ("a OR b", Or((Phrase("a"), Phrase("b")))),
        ("NOT a", Not(Phrase("a"))),
        ("-a", Not(Phrase("a"))),
        ("a -b", And((Phrase("a"), Not(Phrase("b"))))),
        ("!a", Not(Phrase("a"))),
        ("!level:info", Not(Term("log.level", "info"))),
        ("a && b || !c", Or((And((Phrase("a"), Phrase("b"))), Not(Phrase("c"))))),
        ("+a", Phrase("a")),
        ("a or b", And((Phrase("a"), Phrase("or"), Phrase("b")))),
        ("a b OR c", And((Phrase("a"), Or((Phrase("b"), Phrase("c")))))),
        ("a OR b c", And((Or((Phrase("a"), Phrase("b"))), Phrase("c")))),
        ("a AND b OR c", Or((And((Phrase("a"), Phrase("b"))), Phrase("c")))),
        ("(a b) OR c", Or((And((Phrase("a"), Phrase("b"))), Phrase("c")))),
        ("service:(cars OR parts)", Or((CARS, PARTS))),
        ("service:(cars OR NOT parts) a", And((Or((CARS, Not(PARTS))), Phrase("a")))),
    ],
)
def test_operators(text, expression):
    """AND binds closest, then OR, then a blank."""
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ('level:error "timed out', 12, "quote is never closed"),
        ('a-"b c"', 2, "A quote can only begin a value"),
        ("(a b", 4, "ends where"),
        ("a) b", 1, "')' is not expected"),
        ("a AND", 5, "ends where"),
        ("a OR OR b", 5, "'OR' is not expected"),
        ("service:", 8, "ends where"),
        ("a\\", 1, "backslash"),
        ("time~", 4, "~ has no meaning"),
        ("time^2", 4, "^ has no meaning"),
        ("/a/ )", 4, "')' is not expected"),
        ("url.full:http://x:1/", 9, "put a value with ':' in quotes"),
        ("a level:eror", 8, "'eror' is not a level. Known: debug, info, warning, error, critical."),
        ("duration:>250", 10, "number with a unit, such as 250ms"),
        ("duration:>9parsecs", 10, "number with a unit"),
        ("duration:-", 10, "ends where"),
        ("status:>many", 8, "'many' is not a number; a range needs numbers."),
        ("duraton:>5ms", 9, "a range needs numbers. Did you mean duration?"),
        ("status:[1 TO x]", 13, "'x' is not a number"),
        ("status:[1 x]", 10, "'x' is not expected"),
        ("status:abc", 7, "'abc' is not a value of http.response.status_code"),
        ("pid:self", 4, "labels.NAME"),
        ("kind:servant", 5, "Known: client, consumer, internal, producer, server."),
        ("outcome:failed", 8, "Known: aborted, failure, success, unknown."),
        ("*:x", 0, "* is not a field"),
        (">5", 0, "needs a field"),
        ("*out", 0, "'*out' has no field"),
        ("&&", 0, "'&&' is not expected"),
        ('"..."', 0, "no letter or digit"),
        ("@timestamp:>5", 0, "--since"),
        ("a \ud83d", 2, "not a character"),
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


@pytest.mark.fuzz
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
