"""The protocol, line by line: handshake, versions, tools, and what a client may get wrong."""

import io
import json

import pytest

from dashcam.mcp.protocol import HANDSHAKE_VERSIONS, Server, Tool, ToolError

MODERN = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}


def greet(name, times=1):
    if name == "nobody":
        raise ToolError("There is nobody.")
    return f"hello {name} " * times


SERVER = Server(
    "greeter",
    "1.2",
    "Greet somebody.",
    [
        Tool(
            "greet",
            "Greets.",
            {"name": ("string", "who"), "times": ("integer", "how often")},
            greet,
            required=("name",),
        ),
        Tool("fail", "Fails.", {}, lambda: 1 / 0),
    ],
)


def ask(method, params=None, id_=1):
    request = {"jsonrpc": "2.0", "id": id_, "method": method} | ({} if params is None else {"params": params})
    return json.loads(SERVER.answer(json.dumps(request).encode()))


def call(name, arguments):
    return ask("tools/call", {"name": name, "arguments": arguments})


@pytest.mark.parametrize("version", HANDSHAKE_VERSIONS)
def test_a_known_version_is_agreed_on(version):
    """The client's own."""
    result = ask("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {}})["result"]

    assert result == {
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "greeter", "version": "1.2"},
        "instructions": "Greet somebody.",
    }


@pytest.mark.parametrize("params", [{"protocolVersion": "1999-01-01"}, {"protocolVersion": 7}, {}])
def test_an_unknown_version_gets_the_newest(params):
    """The client then says whether it can do that."""
    assert ask("initialize", params)["result"]["protocolVersion"] == "2025-11-25"


def test_versions_without_a_handshake():
    """Each request names its version; one that is not supported is told which are."""
    found = ask("server/discover", MODERN)["result"]
    assert found["supportedVersions"][-1] == "2026-07-28"
    assert (found["resultType"], found["cacheScope"], found["ttlMs"] > 0) == ("complete", "public", True)

    called = ask("tools/call", MODERN | {"name": "greet", "arguments": {"name": "you"}})["result"]
    assert called["resultType"] == "complete"

    error = ask("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2030-01-01"}})["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": [*HANDSHAKE_VERSIONS, "2026-07-28"], "requested": "2030-01-01"}


def test_tools_are_listed_with_their_parameters():
    """All of them only read."""
    greet_tool, _ = ask("tools/list")["result"]["tools"]

    assert greet_tool == {
        "name": "greet",
        "description": "Greets.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "who"},
                "times": {"type": "integer", "description": "how often"},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    }


def test_a_call_gives_text():
    """Or the reason why not, which the model reads."""
    assert call("greet", {"name": "you", "times": 2})["result"] == {
        "content": [{"type": "text", "text": "hello you hello you "}],
        "isError": False,
    }
    assert call("greet", {"name": "nobody"})["result"] == {
        "content": [{"type": "text", "text": "There is nobody."}],
        "isError": True,
    }


def test_all_faults_of_arguments_are_named_together():
    """With what is allowed."""
    result = call("greet", {"times": "two", "loud": True})["result"]

    assert result["isError"]
    assert result["content"][0]["text"] == (
        "greet: name is missing; times must be of type integer; 'loud' is not a parameter: name, times."
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"7", -32600),
        (b'{"id": 1}', -32600),
        (b'{"id": 1, "method": "resources/list"}', -32601),
        (b'{"id": 1, "method": "tools/call", "params": []}', -32602),
        (b'{"id": 1, "method": "tools/call", "params": {"name": "shout"}}', -32602),
        (b'{"id": 1, "method": "tools/call", "params": {"name": "greet", "arguments": [1]}}', -32602),
        (b'{"id": 1, "method": "tools/call", "params": {"name": "fail"}}', -32603),
    ],
)
def test_a_bad_request_has_a_code(line, code):
    """And the server goes on."""
    assert json.loads(SERVER.answer(line))["error"]["code"] == code
    assert ask("ping")["result"] == {}


def test_what_wants_no_answer_gets_none():
    """Notifications, answers, empty lines."""
    for line in (b'{"method": "notifications/initialized"}', b'{"id": 4, "result": {}}', b"\n", b"[]"):
        assert SERVER.answer(line) is None


def test_a_batch_is_answered_together():
    """As one line, without the notifications in it."""
    answers = json.loads(SERVER.answer(b'[{"id": 1, "method": "ping"}, {"method": "x"}, {"id": 2, "method": "ping"}]'))

    assert [answer["id"] for answer in answers] == [1, 2]


def test_requests_are_answered_in_turn():
    """A line each, until there are no more."""
    answers = io.BytesIO()

    SERVER.serve(io.BytesIO(b'{"id": 1, "method": "ping"}\n\n{"id": 2, "method": "ping"}\n'), answers)

    assert answers.getvalue() == (b'{"jsonrpc":"2.0","id":1,"result":{}}\n{"jsonrpc":"2.0","id":2,"result":{}}\n')
