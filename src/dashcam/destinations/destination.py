"""The one plug: all that a destination offers, as one object."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dashcam.find.query import Store
from dashcam.ship.batch import Backend

if TYPE_CHECKING:
    from dashcam.destinations.checks import Check
    from dashcam.ship.repair import Repair


class StoryReference(Protocol):
    """The parts of a story that a link is made of: its ids, and its time in nanoseconds since the epoch.

    >>> def links(options: Options, story: StoryReference) -> dict[str, str]:
    ...     return {f"printout_{number}": f"http://printer/{one}" for number, one in enumerate(story.trace_ids)}
    """

    @property
    def trace_ids(self) -> Sequence[str]:
        """The ids of its traces."""

    @property
    def request_ids(self) -> Sequence[str]:
        """The ids of its requests."""

    @property
    def start_ns(self) -> int:
        """Its start."""

    @property
    def duration_ns(self) -> int:
        """Its length."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of API keys that a set-up is to make: how many days they live, and whether to replace those that hold.

    >>> KeyFile(Path("keys.env"), life_days=90)
    KeyFile(path=PosixPath('keys.env'), life_days=90, is_rotation=False)
    """

    path: Path
    life_days: int = 365
    is_rotation: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was set up, and what was done about it.

    >>> Step("index template", "created")
    Step(what='index template', done='created')
    """

    what: str
    done: str


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that events are shipped to, and found in; `name` is what `LOG_BACKEND` says.

    `options` is a frozen dataclass of `dashcam.settings.setting` fields, which each of the functions gets an instance
    of. They are `late`, so that a look-up loads only what it uses.

    - `backend` gives what ships to it, and raises `SettingsError` for options that cannot be used.
    - `store` gives what its events are found in; `None` for a destination that keeps nothing.
    - `checks` yields what `dashcam doctor` looks at, given the seconds that a canary may take to be found.
    - `links` gives the addresses of a story in its web pages, by what shows it, such as `kibana_discover`.
    - `repair` saves what can be read of a store that is a file here, and yields what it did.
    - `setup` makes it ready for events, step by step, and writes keys if a file for them is wanted.

        >>> destination = Destination("printer", Options, backend=lambda options: Printer())
    """

    name: str
    options: type
    backend: Callable[[Any], Backend]
    store: Callable[[Any], Store] | None = None
    checks: "Callable[[Any, float], Iterator[Check]] | None" = None
    links: Callable[[Any, StoryReference], dict[str, str]] | None = None
    setup: Callable[[Any, KeyFile | None], Iterator[Step]] | None = None
    found_within_s: float = 30.0
    repair: "Callable[[Any], Iterator[Repair]] | None" = None


def late(name: str) -> Callable[..., Any]:
    """Return a function of a module that is imported at the first call; the name is that of an entry point.

    >>> late("json:dumps")("out of paper")
    '"out of paper"'
    """
    module, _, function = name.partition(":")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), function)(*arguments)

    return call
