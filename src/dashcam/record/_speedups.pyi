from collections.abc import Callable
from typing import Any

def encode_call(time_ns: int, level: str, message: object, fields: dict[str, Any], tail: bytes, /) -> bytes: ...
def encode_record(values: dict[str, Any], own: int, level: str, tail: bytes, /) -> bytes | None: ...
def is_plain_call(body: bytes, message: object, fields: dict[str, Any], /) -> bool: ...
def use(
    recorder_names: dict[str, Any],
    masking_names: dict[str, Any],
    get_current: Callable[[], Any],
    parts_of_context: Callable[[Any], tuple[bytes, dict[str, Any] | None]],
    dumps: Callable[..., bytes],
    convert: Callable[[object], object],
    options: int,
    encode_any: Callable[[Any, Any], bytes],
    mask: Callable[[bytes, Any], bytes],
    with_tags: Callable[[bytes], bytes],
    secret_name: Callable[[str], object],
    masked_by_name: Callable[[str, str], str],
    /,
) -> None: ...

class LogCall:
    def __init__(
        self,
        call: Callable[..., None],
        level: int,
        level_name: str,
        tail: bytes,
        verdicts: dict[Any, Any],
        key: object,
        loggers: tuple[Any, ...],
        off: int,
        /,
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> None: ...
