"""Lines that a template gives are those that would be made without it."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind, Status, StatusCode

from dashcam.patterns import read_own_secrets
from dashcam.record import masking, span_template
from dashcam.record.correlation import OpenSpan, ServerRequest
from dashcam.record.span_template import UNSET, SpanTemplates
from dashcam.record.spans import _encode_end

TIME_NS = 1795484146_123456789
STATEMENT = {"db.system": "postgresql", "db.statement": "SELECT 7 FROM cars WHERE name LIKE 'G%'", "server.port": 5432}
SECRETIVE = {"db.system": "postgresql", "db.statement": "SELECT password FROM users WHERE token = 'aB3456789012'"}
CALL = {"http.request.method": "GET", "url.full": "http://parts/wheels?size=17", "http.response.status_code": 200}


def make(
    attributes, name="SELECT", number=7, *, parent=True, request="golf-7", outermost=False, served=None, status=UNSET
):
    """A span that has ended, and its ids: of a server, if it has `served` a request."""
    span = SimpleNamespace(
        name=name,
        kind=SpanKind.SERVER if served and outermost else SpanKind.CLIENT,
        status=status,
        attributes=attributes,
    )
    own, above = f"{number << 8:016x}", f"{number << 40:016x}"
    ids = f"{number << 80:032x}", own, own if outermost else above, above if parent else ""
    return span, OpenSpan(request, *ids, served, 0, None, None, 0)


def compare(templates, span, known, times):
    """The parts in C do what those in Python do."""
    of = span.kind, span.name, span.attributes, known, masking.has_word
    found, expected = span_template.key_of(*of), span_template.python_key_of(*of)
    assert (found, [*map(type, found)]) == (expected, [*map(type, expected)])
    for template in filter(None, templates._templates.values()):
        values = *template, span.name, span.attributes, known, *times, masking.has_word
        assert span_template.fill(*values) == span_template.python_fill(*values)
    values = templates._templates, span, span.attributes, known, *times, masking.has_word
    assert span_template.line_of(*values) == span_template.python_line_of(*values)


def lines(templates, span, known, number):
    """The line by the templates, and the one that is made without them."""
    times = TIME_NS + number, 1_234_567 + number
    compare(templates, span, known, times)
    found, expected = (each(span, span.attributes, known, *times) for each in (templates.line, _encode_end))
    return found, expected


texts = st.text(max_size=9) | st.sampled_from(["password=hunter2", "100 %s", "%(x)d", "9f4a7c15-85eb-ca77", "x" * 9000])
texts |= st.sampled_from(span_template._PLACEHOLDERS)
urls = st.sampled_from(
    ["http://parts/", "http://ann:hunter2@parts/", "/?token=aB3456789012", "\ud800", "\t", "x" * 3000]
)
attributes = st.dictionaries(
    texts | st.sampled_from([*STATEMENT, *CALL, "password", "db.user"]),
    texts | st.integers() | st.booleans() | st.floats() | st.lists(texts, max_size=2),
    max_size=4,
)


@pytest.mark.fuzz
@given(
    attributes | st.sampled_from([STATEMENT, CALL]),
    texts,
    st.fixed_dictionaries(
        {"parent": st.booleans(), "request": st.sampled_from(["", "golf-7", "a" * 200]), "outermost": st.booleans()}
        | {
            "status": st.sampled_from(
                [UNSET, Status(StatusCode.UNSET), Status(StatusCode.OK), Status(StatusCode.ERROR)]
            )
        }
    ),
    st.lists(urls | texts, min_size=4, max_size=4),
)
def test_any_span(known, name, ids, addresses):
    """Whatever attributes, name, ids and addresses a span has, the first time and the fourth."""
    templates = SpanTemplates(_encode_end)

    for number, address in enumerate(addresses, 1):
        given_attributes = known | ({"url.full": address} if "url.full" in known else {})
        span = make(given_attributes, name, number, **ids)
        found, expected = lines(templates, *span, number)
        assert found == expected


REQUEST = {"http.request.method": "GET", "url.path": "/cars/7", "http.route": "/cars/<id>", "client.port": 4242}
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
callers = st.fixed_dictionaries(
    {}, optional={"client.address": texts | st.just("203.0.113.7"), "user_agent.original": texts | st.just(BROWSER)}
).map(lambda found: dict(sorted(found.items())))  # a server gives them in one order, too
sizes = st.none() | st.integers(0, 10**12)
requests = st.builds(
    ServerRequest,
    labels=st.dictionaries(
        texts | st.sampled_from(["car_id", "password", "card"]),
        texts | st.integers() | st.sampled_from([True, None, 4111111111111111, 1 << 64]),
        max_size=9,
    ),
    status=st.sampled_from([0, 200, 404, 500]),
    path=st.sampled_from(["", "/cars/7", "/cars/ü"]),
    query=st.sampled_from(["", "a=1"]),
    request_bytes=sizes,
    response_bytes=sizes,
    error=st.sampled_from([None, None, ValueError()]),
    is_incomplete=st.booleans(),
    is_disconnected=st.booleans(),
)
alike = st.builds(
    ServerRequest,
    labels=st.fixed_dictionaries({"car_id": texts, "wheels": st.integers(), "note": texts}),
    status=st.just(200),
    path=st.just("/cars/7"),
    response_bytes=sizes,
    request_bytes=sizes,
)


@pytest.mark.fuzz
@given(
    st.lists(requests | alike, min_size=6, max_size=6),
    st.lists(
        st.sampled_from([{}, {"url.query": ""}, {"url.query": "a=1"}, {"url.path": "/?token=aB3456789012"}]),
        min_size=6,
        max_size=6,
    ),
    st.lists(callers, min_size=6, max_size=6),
    st.booleans(),
)
def test_any_request(served, more, by, outermost):
    """Whatever is known of a request at its end."""
    templates = SpanTemplates(_encode_end)

    for number, (each, others, caller) in enumerate(zip(served, more, by, strict=True), 1):
        span = make(REQUEST | others | caller, "GET /cars/<id>", number, outermost=outermost, served=each)
        assert len(set(lines(templates, *span, number))) == 1


def serve(number, **labels):
    """A request that a handler put labels on, and its ids."""
    served = ServerRequest(labels=labels, status=200, path="/cars/7", response_bytes=number)
    return make(REQUEST, "GET /cars/<id>", number, outermost=True, served=served)


def test_labels():
    """A handler's labels differ from one request to the next, and the work is done twice and no more."""
    done = []
    templates = SpanTemplates(lambda *values: done.append(1) or _encode_end(*values))

    for number in range(1, 9):
        found, expected = lines(templates, *serve(number, car_id=f"car {number}", wheels=number), number)
        assert found == expected
        assert f'"labels":{{"car_id":"car {number}","wheels":{number}}}'.encode() in found

    assert len(done) == 3  # two lines, and the sample


def test_callers():
    """Each request comes from another address and browser, and the work is done twice and no more."""
    done = []
    templates = SpanTemplates(lambda *values: done.append(1) or _encode_end(*values))

    for number in range(1, 9):
        span, known = serve(number)
        span.attributes = REQUEST | {"client.address": f"203.0.113.{number}", "user_agent.original": BROWSER[:-number]}
        found, expected = lines(templates, span, known, number)
        assert found == expected
        assert f'"client":{{"ip":"203.0.113.{number}"}}'.encode() in found

    assert len(done) == 3  # two lines, and the sample


def test_a_label_that_is_a_secret_later():
    """By its name and this value: it is asked for with both."""
    templates = SpanTemplates(_encode_end)
    texts = ["as it was", "so be it", "all is well", "aB3456789012"]

    for number, text in enumerate(texts, 1):
        found, expected = lines(templates, *serve(number, assertion=text), number)
        assert found == expected

    assert b"aB3456789012" not in found


@pytest.mark.fuzz
@given(attributes, st.lists(texts | st.sampled_from([*STATEMENT, *CALL]), max_size=4))
def test_any_names_are_picked(known, names):
    """In the order of the names."""
    of = known, tuple(names)
    found, expected = span_template.pick(*of), span_template.python_pick(*of)

    assert [*found.items()] == [*expected.items()]


@pytest.mark.parametrize("known", [STATEMENT, CALL, SECRETIVE])
def test_the_third_has_a_template(known):
    """The work is done twice and no more: also for other names, and for a statement that speaks of a secret."""
    done = []
    templates = SpanTemplates(lambda *values: done.append(1) or _encode_end(*values))

    for number in range(1, 9):
        found, expected = lines(templates, *make(known, f"GET /cars/{number}", number), number)
        assert found == expected

    assert len(done) == 3  # two lines, and the sample


def test_values_that_are_equal_and_not_the_same():
    """1, True and 1.0 are one key of a dictionary, and three texts of JSON."""
    templates = SpanTemplates(_encode_end)

    for number, value in enumerate([1, True, 1.0] * 4, 1):
        found, expected = lines(templates, *make({"cars": value}, number=number), number)
        assert found == expected


def test_what_is_a_secret_changes():
    """A template of before is not used any more."""
    templates = SpanTemplates(_encode_end)
    span, known = make({"db.statement": "SELECT 1 WHERE vin = 'aB34567890'"})
    before = [lines(templates, span, known, 1)[0] for _ in range(3)]
    try:
        masking.configure(read_own_secrets("vin"), read_own_secrets(""))
        after, expected = lines(templates, span, known, 1)
    finally:
        masking.configure(read_own_secrets(""), read_own_secrets(""))

    assert len(set(before)) == 1
    assert b"aB34567890" in before[0]
    assert after == expected
    assert b"aB34567890" not in after


def test_they_are_bounded():
    """Statements that never come again take no memory for long."""
    templates = SpanTemplates(_encode_end)

    for number in range(1, 2000):
        lines(templates, *make({"db.statement": f"SELECT {number}"}), 1)

    assert len(templates._seen) <= span_template.MAX_TEMPLATES


def test_what_comes_once_takes_no_template_away():
    """A service writes values into its statements, and one of them is always the same."""
    done = []
    templates = SpanTemplates(lambda *values: done.append(1) or _encode_end(*values))
    for number in range(2):
        lines(templates, *make(STATEMENT), number)
    for number in range(2 * span_template.MAX_TEMPLATES):
        lines(templates, *make({"db.statement": f"SELECT {number}"}), number)
    done.clear()

    lines(templates, *make(STATEMENT), 3)

    assert done == []
