"""JSON for whatever records: orjson in the main interpreter, Python's own encoder in the others.

uWSGI and mod_wsgi give each application an interpreter. orjson keeps objects of the interpreter that imports it first,
or last, for all of them: when this one ends, an error of another one is not raised, or ends the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING


def _is_main() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before; neither is documented
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


if TYPE_CHECKING or _is_main():
    import orjson
else:
    from dashcam import python_json as orjson

__all__ = ["orjson"]
