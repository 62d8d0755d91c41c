from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from dashcam.record.server import ServerSpan

def use(*given: Any) -> None: ...

class Response:
    server: ServerSpan
    environ: MutableMapping[str, Any]
    start_response: Any
    describe: Callable[..., Any] | None
    outer_error: BaseException | None
    length: int | None
    sent: int
    pending: int
    is_begun: bool
    is_complete: bool
    is_test: bool
    def __init__(
        self,
        server: ServerSpan,
        environ: MutableMapping[str, Any],
        start_response: Any,
        describe: Callable[..., Any] | None,
        /,
    ) -> None: ...
    def start(self, *given: Any, **named: Any) -> Any: ...
    def body(self, body: Iterable[bytes], /) -> Iterable[bytes]: ...
