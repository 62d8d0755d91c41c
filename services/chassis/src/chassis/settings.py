"""A service's settings: read from the environment and from files of secrets, checked, all faults reported together."""

import errno
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn, parse_dsn

Check = Callable[[str], str]


class SettingsError(Exception):
    """The environment lacks settings or holds unusable ones; the text lists every fault."""


def read(checks: Mapping[str, Check], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the value of each variable, as its check gives it.

    Where `X_FILE` names a file, the value of `X` is its text. A database's address `X_URL` gets the password that
    `X_PASSWORD` or its file holds. Raises `SettingsError` with every fault, secrets masked.
    """
    given = os.environ if environment is None else environment
    values, faults = {}, []
    for variable, check in checks.items():
        try:
            text = _text(given, variable)
            values[variable] = check(text)
            if check is database_address and (password := _text(given, variable.replace("_URL", "_PASSWORD"))):
                values[variable] = make_dsn(values[variable], password=password)
        except OSError as fault:
            faults.append(f"{fault.filename!r} cannot be read: {fault.strerror}.")
        except ValueError as fault:
            seen = f"={_masked(text)!r} cannot be used" if text else " is not set"
            faults.append(f"{variable}{seen}: it takes {fault}.")
    if faults:
        raise SettingsError("\n".join(faults))
    return values


def _text(given: Mapping[str, str], variable: str) -> str:
    if path := given.get(f"{variable}_FILE", "").strip():
        try:
            return Path(path).read_text().strip()
        except UnicodeDecodeError:
            raise OSError(errno.EILSEQ, "it is not a text in UTF-8", path) from None
    return given.get(variable, "").strip()


def password(text: str) -> str:
    """Return a password; raises `ValueError` where there is none."""
    if not text:
        raise ValueError("a password")
    return text


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
