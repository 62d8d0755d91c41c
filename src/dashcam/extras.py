"""The libraries that an extra of the package installs, and the sentence for one that is missing."""

from collections.abc import Mapping
from typing import Final

from dashcam.errors import MissingExtraError

# The extras that install what is imported, by the start of its name; the most specific name comes first.
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "opentelemetry.instrumentation.flask": ("flask",),
    "opentelemetry.instrumentation.wsgi": ("wsgi", "flask"),
    "opentelemetry.instrumentation.asgi": ("asgi",),
    "opentelemetry.util.http": ("flask", "asgi"),
    "flask": ("flask", "view"),
    "werkzeug": ("flask", "view"),
    "requests": ("elk", "loggly"),
    "urllib3": ("elk",),
    "fluent": ("elk",),
    "msgpack": ("elk",),
    "ormsgpack": ("elk",),
}


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the error that names the extra of a module that was not found; None for a module of no extra.

    >>> print(missing_extra(ModuleNotFoundError(name="ormsgpack")))
    The library ormsgpack is not installed. Run: pip install 'dashcam[elk]'
    """
    name = error.name or ""
    for module, extras in EXTRAS.items():
        if f"{name}.".startswith(f"{module}."):
            ways = " or ".join(f"pip install 'dashcam[{extra}]'" for extra in extras)
            return MissingExtraError(f"The library {name} is not installed. Run: {ways}")
    return None
