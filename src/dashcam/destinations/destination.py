"""The interface of a destination: all that it offers, as one object."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dashcam.ship.batch import Backend

if TYPE_CHECKING:
    from dashcam.destinations.checks import Check
    from dashcam.find.query import Store
    from dashcam.ship.inspection.spool_repair import Repair


class StoryReference(Protocol):
    """The parts of a story that a link needs: its IDs, and its time in nanoseconds since the epoch (UTC).

    >>> def links(options: Options, story: StoryReference) -> dict[str, str]:
    ...     return {f"printout_{number}": f"http://printer/{one}" for number, one in enumerate(story.trace_ids)}
    """

    @property
    def trace_ids(self) -> Sequence[str]:
        """The IDs of its traces."""

    @property
    def request_ids(self) -> Sequence[str]:
        """The IDs of its requests."""

    @property
    def start_ns(self) -> int:
        """Its start, in nanoseconds since the epoch."""

    @property
    def duration_ns(self) -> int:
        """Its duration, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of API keys that `setup` creates: their lifetime in days, and whether to replace valid ones.

    >>> KeyFile(Path("keys.env"), life_days=90)
    KeyFile(path=PosixPath('keys.env'), life_days=90, is_rotation=False)
    """

    path: Path
    life_days: int = 365
    is_rotation: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was set up, and what was done.

    >>> Step("index template", "created")
    Step(what='index template', done='created')
    """

    what: str
    done: str


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that events are shipped to and found in; `name` is its name in `LOG_BACKEND`.

    `options` is a frozen dataclass of `dashcam.settings.setting` fields; each function gets an instance. Use `late` for
    the functions, so that a command imports only what it needs.

    - `backend` returns the backend, and raises `SettingsError` for options that cannot be used.
    - `store` returns the store; `None` for a destination that cannot be searched.
    - `checks` yields the checks of `dashcam doctor`, given the seconds until a canary must be found.
    - `links` returns the addresses of a story in its web pages, by names such as `kibana_discover`.
    - `repair` saves what can be read of a store that is a local file, and yields what it did.
    - `setup` prepares it for events, step by step, and writes keys if there is a file for them.
    - `found_within_s` is how long an event may take until a search finds it, in seconds.

        >>> destination = Destination("printer", Options, backend=lambda options: Printer())
    """

    name: str
    options: type
    backend: Callable[[Any], Backend]
    store: "Callable[[Any], Store] | None" = None
    checks: "Callable[[Any, float], Iterator[Check]] | None" = None
    links: Callable[[Any, StoryReference], dict[str, str]] | None = None
    setup: Callable[[Any, KeyFile | None], Iterator[Step]] | None = None
    found_within_s: float = 30.0
    repair: "Callable[[Any], Iterator[Repair]] | None" = None


def late(name: str) -> Callable[..., Any]:
    """Return a function whose module is imported at the first call; the name is `"module:function"`.

    >>> late("json:dumps")("out of paper")
    '"out of paper"'
    """
    module, _, function = name.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), function)(*arguments)

    return call
