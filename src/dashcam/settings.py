"""Every setting of Dashcam, and the only reader of the environment."""

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dashcam.errors import SettingsError

ROUTES = ("elasticsearch", "elk", "local", "loggly", "stdout")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Secret(str):
    """A string whose `repr` shows nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


def _text(value: str) -> str:
    return value


def _count(value: str, least: int = 1) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) < least:
        raise ValueError(f"a whole number of at least {least}")
    return int(value)


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or float(value) == 0:
        raise ValueError("seconds above 0, such as 0.5")
    return float(value)


_SIZES = {"": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}


def _size(value: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})\s*([A-Za-z]*)", value)
    if not match or match[2].upper() not in _SIZES:
        raise ValueError("bytes, or a size such as 512MB or 1GiB")
    return int(match[1]) * _SIZES[match[2].upper()]


def _store_size(value: str) -> int:
    # Half of the least is SQLite's write-ahead log, at its longest.
    if (size := _size(value)) < 32_000_000:
        raise ValueError("a size of at least 32MB")
    return size


def _days(value: str) -> int:
    match = re.fullmatch(r"([0-9]{1,5})d", value)
    if not match or match[1].strip("0") == "":
        raise ValueError("days, such as 14d")
    return int(match[1])


def _level(value: str) -> str:
    if value.upper() not in LEVELS:
        raise ValueError("one of " + ", ".join(LEVELS))
    return value.upper()


def _routes(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if not all(re.fullmatch(r"[a-z][a-z0-9_-]*", name) for name in names):
        raise ValueError("a route, or several with commas: " + ", ".join(ROUTES))
    return names


def _address(value: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(" or ".join(f"{scheme}://host:port" for scheme in schemes))
    return value.rstrip("/")


def _forward(value: str) -> tuple[str, ...]:
    schemes = ("forward", "forward+tls")
    return tuple(_address(part.strip(), schemes) for part in value.split(","))


def _namespace(value: str) -> str:
    # The last part of a data stream's name: Elasticsearch allows neither capitals nor a minus sign in it.
    if not re.fullmatch(r"[a-z0-9_.]{1,100}", value) or value.startswith("."):
        raise ValueError("small letters, digits, '_' and '.', at most 100")
    return value


def _tags(value: str) -> tuple[str, ...]:
    tags = tuple(tag.strip() for tag in value.split(",") if tag.strip())
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", tag) for tag in tags):
        raise ValueError("tags of letters, digits, '_', '.', '-', at most 64 characters each, with commas")
    return tags


def _switch(value: str) -> bool:
    if value.lower() not in {"on", "off"}:
        raise ValueError("on or off")
    return value.lower() == "on"


def _choice(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(" or ".join(allowed))
        return value

    return read


def _file(value: str) -> Path:
    if not os.access(value, os.R_OK):
        raise ValueError("the path of a file that can be read")
    return Path(value)


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "dashcam"


def _setting(variable: str, default: str, read: Callable[[str], Any], meaning: str) -> Any:
    """A field; its default is written as it would stand in the environment, empty for none."""
    metadata = {"variable": variable, "default": default, "read": read, "meaning": meaning}
    if variable == "DASHCAM_DIR":
        return field(default_factory=_folder, metadata=metadata)
    value: Any = read(default) if default else Secret() if read is Secret else None if read is _file else ""
    return field(default=value, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says, checked; `Settings.load` makes it."""

    routes: tuple[str, ...] = _setting(
        "LOG_BACKEND",
        "local",
        _routes,
        "Where events go and are found again; several with commas, the first is searched.",
    )
    level: str = _setting("LOG_LEVEL", "INFO", _level, "The least level that is recorded.")
    dir: Path = _setting(
        "DASHCAM_DIR", "~/.local/state/dashcam", Path, "The folder of spool, local store and positions."
    )
    trust: str = _setting(
        "DASHCAM_TRUST_REQUEST_ID",
        "always",
        _choice("always", "never"),
        "Whether a caller's X-Request-ID is kept (always) or replaced (never).",
    )
    spool_limit: int = _setting(
        "DASHCAM_SPOOL_LIMIT",
        "512MB",
        _size,
        "The most disk one service's spool takes; beyond it events are counted, not kept.",
    )
    sync_interval_s: float = _setting(
        "DASHCAM_SYNC_INTERVAL",
        "1",
        _seconds,
        "Seconds between the shipper's syncs to disk: the most a power cut can take.",
    )
    local_limit: int = _setting(
        "DASHCAM_LOCAL_LIMIT",
        "2GB",
        _store_size,
        "The most disk the local store takes; beyond it the oldest events go.",
    )
    retention_days: int = _setting(
        "DASHCAM_RETENTION", "14d", _days, "How long events are kept by the local store and Elasticsearch."
    )
    loggly_token: Secret = _setting("LOGGLY_TOKEN", "", Secret, "The customer token that sending needs.")
    loggly_tags: tuple[str, ...] = _setting(
        "LOGGLY_TAGS", "dashcam", _tags, "Tags of every event sent to Loggly, beside dashcam."
    )
    loggly_url: str = _setting("LOGGLY_URL", "https://logs-01.loggly.com", _address, "Where events are sent.")
    loggly_subdomain: str = _setting("LOGGLY_SUBDOMAIN", "", _text, "The account's name: the host before .loggly.com.")
    loggly_api_token: Secret = _setting("LOGGLY_API_TOKEN", "", Secret, "The API token that searching needs.")
    loggly_api_url: str = _setting(
        "LOGGLY_API_URL", "", _address, "Where events are searched, if not at https://SUBDOMAIN.loggly.com."
    )
    loggly_search: str = _setting(
        "LOGGLY_SEARCH",
        "complete",
        _choice("complete", "quick"),
        "complete asks Loggly for more and filters; quick trusts its index with words, patterns and existence too.",
    )
    loggly_gzip: bool = _setting(
        "LOGGLY_GZIP",
        "off",
        _switch,
        "Whether events go out compressed (on or off); Loggly does not say that it reads them.",
    )
    fluentd_urls: tuple[str, ...] = _setting(
        "FLUENTD_URL",
        "forward://127.0.0.1:24224",
        _forward,
        "fluentd, forward:// or forward+tls://, may hold user:password@; several with commas fail over.",
    )
    fluentd_shared_key: Secret = _setting("FLUENTD_SHARED_KEY", "", Secret, "The key fluentd's <security> asks for.")
    fluentd_ca: Path | None = _setting(
        "FLUENTD_CA", "", _file, "A PEM file with the authority of fluentd's certificate."
    )
    namespace: str = _setting("DASHCAM_NAMESPACE", "default", _namespace, "The last part of the data streams' names.")
    elasticsearch_url: str = _setting(
        "ELASTICSEARCH_URL",
        "http://127.0.0.1:9200",
        _address,
        "Elasticsearch or OpenSearch; may hold user:password@.",
    )
    elasticsearch_api_key: Secret = _setting(
        "ELASTICSEARCH_API_KEY", "", Secret, "An API key, encoded as Kibana shows it."
    )
    elasticsearch_ca: Path | None = _setting(
        "ELASTICSEARCH_CA", "", _file, "A PEM file with the authority of Elasticsearch's certificate."
    )
    kibana_url: str = _setting("KIBANA_URL", "", _address, "Kibana, for links and the import of dashboards.")
    kibana_system_password: Secret = _setting(
        "KIBANA_SYSTEM_PASSWORD", Secret(), Secret, "The password that `dashcam setup elk` gives Kibana's own user."
    )

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """The settings an environment gives; an empty variable counts as absent.

        Raises `SettingsError` with every fault at once: the value seen, secrets masked, and what is allowed.
        """
        given = os.environ if environment is None else environment
        known = {setting.metadata["variable"]: setting for setting in fields(cls)}
        faults = [
            f"{name} is not a setting. Known: {', '.join(sorted(known))}."
            for name in sorted(given)
            if name.startswith("DASHCAM_") and name not in known
        ]
        values = {}
        for variable, setting in known.items():
            if not (text := given.get(variable, "").strip()):
                continue
            try:
                values[setting.name] = setting.metadata["read"](text)
            except ValueError as fault:
                shown = "'***'" if setting.metadata["read"] is Secret else repr(_masked(text))
                faults.append(f"{variable}={shown} cannot be used: it takes {fault}.")
        if faults:
            raise SettingsError("\n".join(faults))
        return cls(**values)


def in_force() -> dict[str, str]:
    """Each variable as it stands in the environment, or its default; secrets masked."""
    texts = {}
    for setting in fields(Settings):
        variable = setting.metadata["variable"]
        text = os.environ.get(variable, "").strip() or setting.metadata["default"]
        texts[variable] = "***" if text and setting.metadata["read"] is Secret else _masked(text)
    return texts


def _masked(text: str) -> str:
    """An address without the user and password in it."""
    return re.sub(r"(?<=://)[^/@\s]*@", "***@", text)


def wants_no_colour() -> bool:
    """Whether `NO_COLOR` is set to anything (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def prefer_stable_conventions() -> None:
    """Ask OpenTelemetry's instrumentations for the stable attribute names, unless the environment says otherwise."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")


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
