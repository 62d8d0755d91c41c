"""An app made by `create_service`, asked in every way that fails."""

import pytest
from flask_restful import Resource
from werkzeug.exceptions import ServiceUnavailable

from chassis.body import MAX_BODY_BYTES, read_texts
from chassis.deadline import remaining_s
from chassis.service import create_service


class Echo(Resource):
    def get(self):
        return {"left_s": remaining_s()}

    def post(self):
        return read_texts({"name": 5, "colour": 5})

    def put(self):
        return 1 / 0

    def delete(self):
        raise ServiceUnavailable("Closed for lunch.", retry_after=60)


@pytest.fixture
def client():
    """A client of an app with one resource."""
    app, api = create_service("parts", {}, deadline_s=5.0)
    api.add_resource(Echo, "/echo")
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "title"),
    [
        ("GET", "/nothing", {}, 404, "Not Found"),
        ("PATCH", "/echo", {}, 405, "Method Not Allowed"),
        ("POST", "/echo", {"data": "x"}, 415, "Unsupported Media Type"),
        ("POST", "/echo", {"json": "x" * MAX_BODY_BYTES}, 413, "Request Entity Too Large"),
        ("POST", "/echo", {"json": 1}, 400, "Bad Request"),
        ("PUT", "/echo", {}, 500, "Internal Server Error"),
        ("DELETE", "/echo", {}, 503, "Service Unavailable"),
    ],
)
def test_every_error_has_one_shape(client, method, path, options, status, title):  # noqa: PLR0917 - a table
    """An error, Flask's own too, is a problem details object with the request's ID."""
    answer = client.open(path, method=method, headers={"X-Request-ID": "lunch-7"}, **options)

    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert list(answer.json) == ["type", "title", "status", "detail", "request_id"]
    assert (answer.json["title"], answer.json["status"], answer.json["request_id"]) == (title, status, "lunch-7")


@pytest.mark.parametrize(("method", "header", "value"), [("PATCH", "Allow", "PUT"), ("DELETE", "Retry-After", "60")])
def test_an_error_keeps_its_headers(client, method, header, value):
    """What an error says in headers stays in the answer."""
    assert value in client.open("/echo", method=method).headers[header]


def test_an_unhandled_exception_tells_nothing_of_itself(client):
    """A caller does not see what went wrong inside."""
    assert "division" not in client.put("/echo").text


def test_a_redirect_is_not_an_error(client):
    """What Flask answers by itself on the way to a resource stays as it is."""
    assert client.options("/echo").status_code == 200


def test_a_request_has_a_deadline(client):
    """What a resource waits for ends with the request's time."""
    assert 0 < client.get("/echo").json["left_s"] <= 5


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("{", "The body is not JSON."),
        (b"\xff", "The body is not JSON."),
        ("[" * 15_000, "The body is not JSON."),
        ("[]", "The body is not a JSON object."),
        ("{}", "'name' must be a text that is not blank, 'colour' must be a text that is not blank."),
        ('{"name": 7, "colour": "red"}', "'name' must be a text that is not blank."),
        ('{"name": " ", "colour": "red"}', "'name' must be a text that is not blank."),
        ('{"name": "123456", "colour": "red"}', "'name' has 6 characters, at most 5 are allowed."),
        (r'{"name": "a\u0000", "colour": "red"}', "'name' has control characters or halves of a surrogate pair."),
        (r'{"name": "a\ud800", "colour": "red"}', "'name' has control characters or halves of a surrogate pair."),
        ('{"name": "a", "colour": "red", "size": 1}', "'size' is not a field."),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(client, body, detail):
    """The answer names every fault of a body."""
    answer = client.post("/echo", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json["detail"].endswith(detail)


def test_a_usable_body_is_given_as_it_is(client):
    """Text of any script and emoji that are put together pass."""
    body = {"name": "Škoda", "colour": "👩‍🔧"}

    assert client.post("/echo", json=body).json == body


def test_the_recorder_is_on(client):
    """Each request gets an ID, and its answer says which."""
    assert client.get("/echo").headers["X-Request-ID"]
