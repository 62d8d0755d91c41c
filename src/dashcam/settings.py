"""The settings, and the only reader of the environment.

Each reader has a frozen dataclass of its own, made of `setting` fields: a service `RecordSettings`, the command
`Settings`, each destination its options. `load` reads one of them.
"""

import os
import platform
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from dashcam.errors import SettingsError
from dashcam.patterns import OwnSecrets, UnusableEntriesError, read_own_secrets

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

MIN_LIKENESS = 0.6  # of a name without DASHCAM_ to the setting that may be meant, 1 for the same
OF_DESTINATIONS = {"DASHCAM_LOCAL_LIMIT", "DASHCAM_NAMESPACE", "DASHCAM_RETENTION"}  # a service may have them, too
_PREFIX = "DASHCAM_"
_LINK_NAME = re.compile(
    r"DASHCAM_(?:\w+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?|NAME|ENV_\w+)"
)

T = TypeVar("T")


class Secret(str):
    """A string whose `repr` shows nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class Address(str):
    """An address that may hold a user and a password; its `repr` does not show them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(without_credentials(self))


def read_text(value: str) -> str:
    """Accept any text."""
    return value


def _read_seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or float(value) == 0:
        raise ValueError("seconds above 0, such as 0.5")
    return float(value)


_SIZES = {"": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}


def read_size(value: str) -> int:
    """Read a number of bytes, such as `512MB` or `1GiB`."""
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", value)
    if not match or match[2].upper() not in _SIZES:
        raise ValueError("bytes, or a size such as 512MB or 1GiB")
    return int(match[1]) * _SIZES[match[2].upper()]


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_duration(value: str) -> float:
    """Read a duration in seconds, such as `250ms`, `10s` or `2h`."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", value)
    if not match or float(match[1]) == 0:
        raise ValueError("a duration above 0, such as 250ms, 10s, 10m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


@dataclass(frozen=True, slots=True)
class Slower:
    """The limit of a slow request: some seconds, or a multiple of what 99 of 100 requests of its route take."""

    seconds: float = 0.0
    times: float = 0.0


def _read_slower(value: str) -> Slower:
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)x", value)
    try:
        if match and float(match[1]) >= 1:
            return Slower(times=float(match[1]))
        return Slower(seconds=read_duration(value))
    except ValueError:
        raise ValueError("a duration such as 2s, or a multiple of a route's p99 such as 3x") from None


def _read_share(value: str) -> float:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%", value)
    if not match or float(match[1]) > 100:
        raise ValueError("a share from 0% to 100%, such as 0.1%")
    return float(match[1]) / 100


def _read_count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("a whole number")
    return int(value)


def _read_days(value: str) -> int:
    match = re.fullmatch(r"([0-9]{1,5})d", value)
    if not match or match[1].strip("0") == "":
        raise ValueError("days, such as 14d")
    return int(match[1])


def _read_level(value: str) -> str:
    if value.upper() not in LEVELS:
        raise ValueError("one of " + ", ".join(LEVELS))
    return value.upper()


def _read_levels(value: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    if not pairs or any(not name.strip() or level.strip().upper() not in LEVELS for name, _, level in pairs):
        raise ValueError("LOGGER=LEVEL, several with commas; levels are " + ", ".join(LEVELS))
    return tuple((name.strip(), level.strip().upper()) for name, _, level in pairs)


def _read_routes(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if not all(re.fullmatch(r"[a-z][a-z0-9_-]*", name) for name in names):
        raise ValueError("the name of a backend, or several with commas")
    return names


def read_address(value: str, schemes: tuple[str, ...] = ("http", "https")) -> Address:
    """Read an address of one of some schemes; a slash at its end does not count."""
    allowed = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(allowed)
    if parts.fragment or "@" in parts.path + parts.query:
        # A password with one of these signs ends the host too early; what follows it would be shown in messages.
        raise ValueError(f"{allowed}; in a user or password, write / ? # @ as %2F %3F %23 %40")
    return Address(value.rstrip("/"))


def read_choice(*allowed: str) -> Callable[[str], str]:
    """Return a function that accepts one of some words."""

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(" or ".join(allowed))
        return value

    return read


def read_file(value: str) -> Path:
    """Read the path of a file that can be read."""
    if not os.access(value, os.R_OK):
        raise ValueError("the path of a file that can be read")
    return Path(value)


def _read_console(value: str) -> str:
    if value not in {"auto", "text", "json", "off"}:
        raise ValueError("auto, text, json or off")
    return value


def _read_trust(value: str) -> bool:
    return read_choice("always", "never")(value) == "always"


def _read_folder(value: str) -> Path:
    return Path(value).absolute()  # at once: the process may change its working folder


def _default_folder() -> Path:
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "dashcam"
    try:
        return Path.home() / ".local" / "state" / "dashcam"
    except RuntimeError:  # a container's user that no file knows
        return Path(gettempdir()) / f"dashcam-{os.getuid()}"


def setting(variable: str, default: str, read: Callable[[str], Any], meaning: str) -> Any:
    """Return a dataclass field that `load` fills from an environment variable.

    `default` is written as in the environment; an empty one gives an empty text, a `Secret` or, for a file, `None`.
    `read` makes a value of a text and raises `ValueError` with what is allowed.

        >>> @dataclass(frozen=True, slots=True)
        ... class Options:
        ...     url: str = setting("WEBHOOK_URL", "", read_address, "The address that events are posted to.")
    """
    metadata = {"variable": variable, "default": default, "read": read, "meaning": meaning}
    if read is _read_folder:
        return field(default_factory=_default_folder, metadata=metadata)
    empty = {
        Secret: Secret(),
        read_file: None,
        read_own_secrets: OwnSecrets(),
        _read_slower: Slower(),
        _read_levels: (),
    }
    value: Any = read(default) if default else empty.get(read, "")
    return field(default=value, metadata=metadata)


def folder() -> Any:
    """Return the field of `DASHCAM_DIR`, which recording, shipping and the local store share."""
    meaning = "The folder of the spool, the local store, checkpoints and dead letters."
    return setting("DASHCAM_DIR", "~/.local/state/dashcam", _read_folder, meaning)


def spool_limit() -> Any:
    """Return the field of `DASHCAM_SPOOL_LIMIT`, in bytes."""
    meaning = "Maximum size of one service's spool; further events are dropped and counted."
    return setting("DASHCAM_SPOOL_LIMIT", "512MB", read_size, meaning)


def retention() -> Any:
    """Return the field of `DASHCAM_RETENTION`, in days, which destinations that keep events share."""
    return setting("DASHCAM_RETENTION", "14d", _read_days, "How long the local store and Elasticsearch keep events.")


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """The settings of recording, in the process of a service."""

    level: str = setting("LOG_LEVEL", "INFO", _read_level, "The lowest level that is recorded.")
    console: Literal["auto", "text", "json", "off"] = setting(
        "DASHCAM_CONSOLE",
        "auto",
        _read_console,
        "How to print log calls that no handler handles: auto (text on a terminal, else JSON), text, json or off.",
    )
    dir: Path = folder()
    trust_request_id: bool = setting(
        "DASHCAM_TRUST_REQUEST_ID",
        "always",
        _read_trust,
        "Whether a caller's X-Request-ID and traceparent are kept (always) or replaced (never).",
    )
    spool_limit_bytes: int = spool_limit()
    mask: OwnSecrets = setting(
        "DASHCAM_MASK",
        "",
        read_own_secrets,
        "Names and /patterns/ to mask besides the built-in ones; `personal-data` means e-mail, cards and IBANs.",
    )
    mask_allow: OwnSecrets = setting(
        "DASHCAM_MASK_ALLOW", "", read_own_secrets, "Names and /patterns/ of values that are never masked."
    )
    mask_key: Secret = setting(
        "DASHCAM_MASK_KEY", "", Secret, "A key: secrets become *** and a keyed hash, the same for equal secrets."
    )
    levels: tuple[tuple[str, str], ...] = setting(
        "LOG_LEVELS", "", _read_levels, "Levels of single loggers and their children: werkzeug=WARNING,cars=DEBUG."
    )
    clip_key: Secret = setting(
        "DASHCAM_CLIP_KEY", "", Secret, "A key: a request is kept if its header X-Dashcam-Keep is signed with it."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the command, whichever destination it ships to or searches."""

    routes: tuple[str, ...] = setting(
        "LOG_BACKEND",
        "local",
        _read_routes,
        "Where events are shipped and found: one or several with commas; searches use the first.",
    )
    dir: Path = folder()
    spool_limit_bytes: int = spool_limit()
    sync_interval_s: float = setting(
        "DASHCAM_SYNC_INTERVAL",
        "1",
        _read_seconds,
        "Seconds between the shipper's syncs to disk: the most that a power cut can lose.",
    )
    ship_level: str = setting(
        "DASHCAM_SHIP_LEVEL",
        "",
        _read_level,
        "The lowest level that is shipped at once; lower lines are held, and shipped if their request fails.",
    )
    hold_s: float = setting(
        "DASHCAM_HOLD", "10m", read_duration, "The minimum time for which lines are held, while there is room."
    )
    clip_slower: Slower = setting(
        "DASHCAM_CLIP_SLOWER",
        "",
        _read_slower,
        "Keep slow requests: above 2s, or above 3x the p99 of their route.",
    )
    clip_baseline: float = setting(
        "DASHCAM_CLIP_BASELINE", "0%", _read_share, "The share of all requests that is kept at random, such as 0.1%."
    )
    clips_per_minute: int = setting(
        "DASHCAM_CLIP_LIMIT", "600", _read_count, "Maximum number of clips per minute; further ones are counted."
    )


def variables(kinds: Iterable[type]) -> Iterator[Field[Any]]:
    """Yield the settings of some dataclasses, each variable once; `metadata` has the `setting`'s arguments."""
    seen: set[str] = set()
    for kind in kinds:
        for each in fields(kind):
            if each.metadata["variable"] not in seen:
                seen.add(each.metadata["variable"])
                yield each


def load(kind: type[T], environment: Mapping[str, str] | None = None) -> T:
    """Return the settings of one kind; an empty variable counts as absent.

    Raises `SettingsError` with every fault at once: the value seen, secrets masked, and what is allowed.

        settings = load(Settings, {"LOG_BACKEND": "loggly,elk"})
        settings.routes  # ("loggly", "elk")
    """
    values, faults = _read(kind, os.environ if environment is None else environment)
    if faults:
        raise SettingsError("\n".join(faults.values()))
    return kind(**values)


def load_or_default(kind: type[T], environment: Mapping[str, str] | None = None) -> tuple[T, list[str]]:
    """Return the settings of one kind with the default in place of what cannot be used, and a sentence for each fault.

    Of names and patterns, those that can be used are. For a service, which no variable of ours may stop. `DASHCAM_`
    names that are no setting's are faults, too.

        settings, faults = load_or_default(RecordSettings, {"LOG_LEVEL": "LOUD"})
        settings.level  # "INFO"
    """
    given = os.environ if environment is None else environment
    values, faults = _read(kind, given)
    instead = {
        each.metadata["variable"]: "Its other entries are used."
        if each.name in values
        else f"{each.metadata['variable']}={each.metadata['default']} is used instead."
        for each in variables([kind])
    }
    sentences = [f"{fault} {instead[variable]}" for variable, fault in faults.items()]
    known = {each.metadata["variable"] for each in variables([kind, RecordSettings, Settings])} | OF_DESTINATIONS
    return kind(**values), sentences + unknown_names(given, known)


def unknown_names(given: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a sentence for each `DASHCAM_` name of an environment that is not known, with the one that is meant."""
    ours = sorted(name.removeprefix(_PREFIX) for name in known if name.startswith(_PREFIX))
    # Also by its first word: SPOOL means SPOOL_LIMIT.
    meant = {name.partition("_")[0]: name for name in reversed(ours)} | {name: name for name in ours}
    sentences = []
    for name in sorted(given):
        if name.startswith(_PREFIX) and name not in known and not is_link(name, given[name]):
            close = get_close_matches(name.removeprefix(_PREFIX), meant, 1, MIN_LIKENESS)
            hint = (
                f"Did you mean {_PREFIX}{meant[close[0]]}?"
                if close
                else f"Known: {', '.join(_PREFIX + each for each in ours)}."
            )
            sentences.append(f"{name} is not a setting. {hint}")
    return sentences


def _read(kind: type[Any], given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of the fields that are given, and the fault of each variable that cannot be used."""
    values, faults = {}, {}
    for each in variables([kind]):
        variable, read = each.metadata["variable"], each.metadata["read"]
        if not (text := given.get(variable, "").strip()):
            continue
        try:
            values[each.name] = read(text)
        except ValueError as fault:
            if isinstance(fault, UnusableEntriesError):
                values[each.name] = fault.usable
            shown = "'***'" if read is Secret else repr(without_credentials(text))
            faults[variable] = f"{variable}={shown} cannot be used: expected {fault}."
    return values, faults


def is_link(name: str, value: str) -> bool:
    """Return true for a variable that Kubernetes or Docker makes in a container beside a service called dashcam.

    `DASHCAM_SERVICE_HOST`, `DASHCAM_PORT_80_TCP_ADDR` and their like (Kubernetes, "Discovering services"; Docker,
    "Legacy container links"), also of a service called dashcam-viewer. `DASHCAM_PORT` and `DASHCAM_NAME` are known by
    their value: an address, a path.
    """
    return _LINK_NAME.fullmatch(name) is not None and (
        not name.endswith(("_PORT", "_NAME"))
        or name.endswith("_SERVICE_PORT")
        or re.match(r"(tcp|udp|sctp)://|/|[0-9]+\Z", value) is not None
    )


def in_force(each: Field[Any]) -> str:
    """Return a setting as it stands in the environment, or its default; secrets masked."""
    text = os.environ.get(each.metadata["variable"], "").strip() or str(each.metadata["default"])
    return "***" if text and each.metadata["read"] is Secret else without_credentials(text)


def without_credentials(text: str) -> str:
    """Mask the user and password of the addresses in a text."""
    return re.sub(r"(?:(?<=://)|(?<![^\s,]))(?!\w[\w+.-]*://)[^\s,]*@", "***@", text)


def wants_no_colour() -> bool:
    """Return whether `NO_COLOR` is set to anything (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def service_identity(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The service's name, version, environment and node, from OpenTelemetry's own variables.

    `OTEL_SERVICE_NAME` goes before `service.name` in `OTEL_RESOURCE_ATTRIBUTES` (OpenTelemetry environment
    variable specification). Names not given are absent.
    """
    given = os.environ if environment is None else environment
    pairs = (pair.partition("=") for pair in given.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    attributes = {name.strip(): unquote(value.strip()) for name, _, value in pairs if value.strip()}
    identity = {
        "name": given.get("OTEL_SERVICE_NAME", "").strip() or attributes.get("service.name", ""),
        "version": attributes.get("service.version", ""),
        "environment": attributes.get("deployment.environment.name") or attributes.get("deployment.environment", ""),
        "node": attributes.get("service.instance.id") or platform.node(),
    }
    return {name: value for name, value in identity.items() if value}
