"""The Model Context Protocol as far as a server with tools needs it: JSON-RPC 2.0, one message a line.

Source: modelcontextprotocol.io, specification. Versions up to 2025-11-25 begin with `initialize`; from 2026-07-28 on
each request names its version, and `server/discover` stands for the handshake. Both may come over one connection.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from dashcam.errors import DashcamError
from dashcam.mcp.text import clean

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""The versions that `initialize` can agree on, the newest last."""

REQUEST_VERSIONS = ("2026-07-28",)
"""The versions that a request names by itself."""

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
UNSUPPORTED_VERSION = -32022

MAX_LINE_BYTES = 1_000_000  # of a request

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_KINDS = {"string": str, "integer": int}


class ToolError(DashcamError):
    """A tool cannot answer; the text says why, and what to give instead."""


class _RpcError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its parameters are a name with its type and its meaning; those in `required` have to be given."""

    name: str
    description: str
    parameters: Mapping[str, tuple[str, str]]
    call: Callable[..., str]
    required: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the tool as `tools/list` gives it."""
        properties = {name: {"type": kind, "description": text} for name, (kind, text) in self.parameters.items()}
        schema = {"type": "object", "properties": properties, "required": list(self.required)}
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": schema | {"additionalProperties": False},
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise `ToolError` with each fault of some arguments."""
        faults = [f"{name} is missing" for name in self.required if not arguments.get(name)]
        for name, value in arguments.items():
            if name not in self.parameters:
                faults.append(f"{name!r} is not a parameter: {', '.join(self.parameters) or 'there is none'}")
            elif not isinstance(value, _KINDS[self.parameters[name][0]]) or isinstance(value, bool):
                faults.append(f"{name} must be of type {self.parameters[name][0]}")
        if faults:
            raise ToolError(f"{self.name}: {'; '.join(faults)}.")


class Server:
    """Answers requests, one after the other; it keeps nothing between them but what was agreed on."""

    def __init__(self, name: str, version: str, instructions: str, tools: Sequence[Tool]) -> None:
        self._info = {"name": name, "version": version}
        self._instructions = instructions
        self._tools = {tool.name: tool for tool in tools}

    def serve(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Answer until there are no more requests."""
        while line := requests.readline(MAX_LINE_BYTES):
            if (answer := self.answer(line)) is not None:
                answers.write(answer + b"\n")
                answers.flush()

    def answer(self, line: bytes) -> bytes | None:
        """Return the answer to one line, without a newline; `None` for a notification, or an empty line."""
        if not line.strip():
            return None
        try:
            message = orjson.loads(line)
        except ValueError:
            return orjson.dumps(_failure(None, _RpcError(PARSE_ERROR, "the line is not JSON")))
        if isinstance(message, list):  # a batch, which 2025-03-26 has
            answers = [answer for one in message if (answer := self._answer(one)) is not None]
            return orjson.dumps(answers) if answers else None
        answer = self._answer(message)
        return None if answer is None else orjson.dumps(answer)

    def _answer(self, message: Any) -> dict[str, Any] | None:
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            is_answer = isinstance(message, dict) and ("result" in message or "error" in message)
            return None if is_answer else _failure(None, _RpcError(INVALID_REQUEST, "a request is an object"))
        if "id" not in message:
            return None
        params = message.get("params", {})
        if not isinstance(params, dict):
            return _failure(message["id"], _RpcError(INVALID_PARAMS, "params has to be an object"))
        try:
            result = self._result(message["method"], params)
        except _RpcError as error:
            return _failure(message["id"], error)
        except Exception as error:  # noqa: BLE001 - the agent gets the reason, and may go on asking
            return _failure(message["id"], _RpcError(INTERNAL_ERROR, f"{type(error).__name__}: {error}"))
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        is_modern = _names_version(params)
        result: dict[str, Any]
        match method:
            case "initialize":
                wanted = params.get("protocolVersion")
                return {
                    "protocolVersion": wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1],
                    "capabilities": {"tools": {}},
                    "serverInfo": self._info,
                    "instructions": self._instructions,
                }
            case "server/discover":
                result = {
                    "supportedVersions": [*HANDSHAKE_VERSIONS, *REQUEST_VERSIONS],
                    "capabilities": {"tools": {}},
                    "instructions": self._instructions,
                    "_meta": {"io.modelcontextprotocol/serverInfo": self._info},
                }
            case "ping":
                return {}
            case "tools/list":
                result = {"tools": [tool.as_json() for tool in self._tools.values()]}
            case "tools/call":
                return self._call(params) | ({"resultType": "complete"} if is_modern else {})
            case _:
                raise _RpcError(METHOD_NOT_FOUND, f"{method} is not a method of this server")
        return result | ({"resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public"} if is_modern else {})

    def _call(self, params: dict[str, Any]) -> dict[str, Any]:
        tool, arguments = self._tools.get(str(params.get("name"))), params.get("arguments") or {}
        if tool is None:
            raise _RpcError(INVALID_PARAMS, f"{params.get('name')!r} is not a tool: {', '.join(self._tools)}")
        if not isinstance(arguments, dict):
            raise _RpcError(INVALID_PARAMS, "arguments must be an object")
        try:
            tool.check(arguments)
            text, is_error = tool.call(**arguments), False
        except DashcamError as error:
            text, is_error = clean(str(error)), True  # a server's words may be in it
        return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _names_version(params: dict[str, Any]) -> bool:
    """Return whether a request names a version by itself; raises for one that is not supported."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or _VERSION_KEY not in meta:
        return False
    if (requested := meta[_VERSION_KEY]) not in REQUEST_VERSIONS:
        data = {"supported": [*HANDSHAKE_VERSIONS, *REQUEST_VERSIONS], "requested": str(requested)}
        raise _RpcError(UNSUPPORTED_VERSION, f"{requested} is not supported", data)
    return True


def _failure(message_id: Any, error: _RpcError) -> dict[str, Any]:
    failure = {"code": error.code, "message": error.message}
    data = {} if error.data is None else {"data": error.data}
    return {"jsonrpc": "2.0", "id": message_id, "error": failure | data}
