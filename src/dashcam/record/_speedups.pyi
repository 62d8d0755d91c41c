from collections.abc import Callable
from typing import Any

def encode_call(time_ns: int, level: str, message: object, fields: dict[str, Any], tail: bytes, /) -> bytes: ...
def encode_record(values: dict[str, Any], level: str, message: object, tail: bytes, /) -> bytes | None: ...
def copy_fields(fields: dict[str, Any], /) -> tuple[dict[str, Any], bool] | None: ...
def use(
    *,
    recorder: dict[str, Any],
    masking: dict[str, Any],
    get_current: Callable[[], Any],
    parts_of: Callable[[Any], tuple[Any, bytes, dict[str, Any] | None]],
    dumps: Callable[..., bytes],
    convert: Callable[[object], tuple[object, bool] | None],
    encode_any: Callable[[object, dict[str, Any]], bytes],
    mask: Callable[[dict[str, Any]], bytes],
    give_up: Callable[[BaseException | None], None],
    own_names: tuple[str, ...],
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
        bound: dict[str, Any],
        /,
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> None: ...
