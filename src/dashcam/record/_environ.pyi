from collections.abc import Callable
from typing import Any

from dashcam.record.environ import Described, Heads

def use(
    describe_any: Callable[..., Described],
    shared: tuple[str, ...],
    url_path: str,
    url_query: str,
    client_address: str,
    client_port: str,
    /,
) -> None: ...
def describe(environ: dict[str, Any], conventions: Any, heads: Heads | None, /) -> Described: ...
