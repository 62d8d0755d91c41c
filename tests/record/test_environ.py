"""An environment is described as OpenTelemetry's package describes it."""

import opentelemetry.instrumentation.wsgi as otel_wsgi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.instrumentation._semconv import _StabilityMode

from dashcam.record.servers import environ

STABLE = _StabilityMode.HTTP
GET = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/cars",
    "QUERY_STRING": "a=1",
    "RAW_URI": "/cars?a=1",
    "SERVER_PORT": "80",
}
texts = st.sampled_from(["", "/cars", " /cars", "/cars\t", "\x1f/", "K\xe4fer", "a=1", "7", "4242"]) | st.text(
    max_size=9
)
ports = st.sampled_from(["", "4242", "0042", "\u0663", "1" * 9, "1" * 10, "unix", 4242, 0, None])
environs = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(["PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "HTTP_USER_AGENT", "REMOTE_ADDR"], texts)
    | {"RAW_URI": texts | st.none(), "REQUEST_URI": texts, "REMOTE_PORT": ports, "REMOTE_HOST": texts}
    | {"SERVER_PORT": ports, "HTTP_HOST": texts, "SERVER_PROTOCOL": st.sampled_from(["HTTP/1.1", "HTTP/2", ["HTTP"]])},
)


def described(describe, known, heads):
    try:
        name, attributes, *others = describe(known, STABLE, heads)
    except Exception:  # noqa: BLE001 — whatever the package raises
        return None
    return name, attributes, others


@pytest.mark.fuzz
@given(st.lists(environs | environs.map(lambda known: GET | known), min_size=1, max_size=3))
def test_any_environment(known):
    """The first time, and when its head is known: as without heads, where the package is asked each time."""
    heads = {}

    for each in [*known, *known]:
        assert described(environ.describe, each, heads) == described(environ.describe, each, None)


def test_a_head_is_read_once(monkeypatch):
    """Of requests that differ in path, query and caller, and each has the attributes of OpenTelemetry's package."""
    asked, heads = [], {}
    collect = otel_wsgi.collect_request_attributes
    requests = [
        GET
        | {
            "PATH_INFO": f"/cars/{n}",
            "RAW_URI": f"/cars/{n}?a=1",
            "REMOTE_ADDR": f"203.0.113.{n}",
            "REMOTE_PORT": f"{n}",
        }
        for n in range(9)
    ]
    expected = [collect(each, STABLE) for each in requests]
    monkeypatch.setattr(otel_wsgi, "collect_request_attributes", lambda *of: asked.append(of) or collect(*of))

    found = [environ.describe(each, STABLE, heads) for each in requests]

    assert len(asked) == 1
    assert [attributes for _, attributes, *_ in found] == expected
    assert [name for name, *_ in found] == [f"GET /cars/{n}" for n in range(9)]


@pytest.mark.parametrize("heads", [None, {}])
@pytest.mark.parametrize(("path", "name"), [("/K\xc3\xa4fer", "GET /K\xe4fer"), ("/K\xe4fer", "GET /K\ufffdfer")])
def test_a_path_in_the_name_is_text(heads, path, name):
    """Not the bytes that PEP 3333 makes characters of; a byte that is no UTF-8 is replaced, as in `url.path`."""
    assert environ.describe(GET | {"PATH_INFO": path}, STABLE, heads)[0] == name


def test_heads_are_bounded():
    """Callers who come once take no memory for long."""
    heads = {}
    for number in range(2 * environ.MAX_HEADS):
        environ.describe(GET | {"HTTP_USER_AGENT": f"robot {number}"}, STABLE, heads)

    assert len(heads) == environ.MAX_HEADS
    assert environ.describe(GET | {"HTTP_USER_AGENT": "robot 1"}, STABLE, heads)[1]["user_agent.original"] == "robot 1"
