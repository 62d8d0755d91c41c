"""What a log call leaves in its line, outside of any request."""

import orjson

from dashcam.record.logs.line import encode_call

TIME_NS = 1795484146123456789
HEAD = b'{"time_ns":1795484146123456789,"log.level":"info",'


def encode(message, fields):
    """The JSON object of a call's message and fields."""
    line = encode_call(TIME_NS, "info", message, fields, b"}")
    assert line.startswith(HEAD)
    return b"{" + line.removeprefix(HEAD)


def encoded(message, fields):
    """The same, read."""
    return orjson.loads(encode(message, fields))
