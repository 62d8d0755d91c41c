"""What Dashcam uses of orjson, by Python's own encoder, which an interpreter of its own can have."""

import json
from typing import Any, Final

OPT_APPEND_NEWLINE: Final = 1
_MIN_INT, _MAX_INT = -(1 << 63), (1 << 64) - 1

loads: Final = json.loads
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dumps(value: Any, _: None = None, option: int | None = None, /) -> bytes:
    r"""Return a value of exact built-in types as JSON; raises `TypeError` where a text or a number cannot be JSON.

    >>> dumps({"car_id": 7, "colour": "grün"}, None, OPT_APPEND_NEWLINE)
    b'{"car_id":7,"colour":"gr\xc3\xbcn"}\n'
    """
    _check(value)
    try:
        data = _encode(value).encode()
    except (ValueError, RecursionError) as fault:
        raise TypeError(str(fault)) from None
    return data + b"\n" if option else data


def _check(value: Any) -> None:
    if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        raise TypeError("Integer exceeds 64-bit range")
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _check(item)
