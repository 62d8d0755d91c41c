"""A service's settings: read from the environment, checked, all faults told together."""

import os
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

Check = Callable[[str], str]


class SettingsError(Exception):
    """The environment lacks settings or holds unusable ones; the text lists every fault."""


def read(checks: Mapping[str, Check], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The value of each variable, as its check gives it; raises `SettingsError` with every fault, secrets masked."""
    given = os.environ if environment is None else environment
    values, faults = {}, []
    for variable, check in checks.items():
        text = given.get(variable, "").strip()
        try:
            values[variable] = check(text)
        except ValueError as fault:
            seen = f"={_masked(text)!r} cannot be used" if text else " is not set"
            faults.append(f"{variable}{seen}: it takes {fault}.")
    if faults:
        raise SettingsError("\n".join(faults))
    return values


def database_address(text: str) -> str:
    """The address of a PostgreSQL database as libpq reads it; raises `ValueError` with what is allowed."""
    try:
        usable = text.startswith(("postgresql://", "postgres://")) and bool(parse_dsn(text))
    except ProgrammingError:
        usable = False
    if not usable:
        raise ValueError("postgresql://user:password@host:port/database")
    return text


def web_address(text: str) -> str:
    """The address of a service without a closing slash; raises `ValueError` with what is allowed."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("http://host:port")
    return text.rstrip("/")


def _masked(text: str) -> str:
    without_user = re.sub(r"(?<=://)[^/\s]*@", "***@", text)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", without_user)
