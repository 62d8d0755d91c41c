"""Rules and where their notices go, read from a TOML file; all its faults are reported together."""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dashcam.errors import QueryError, SettingsError
from dashcam.event import NS_PER_S
from dashcam.find.query import Expression

T = TypeVar("T")

FIGURES = ("events", "requests", "failures", "failed_share", "p50", "p95", "p99")
"""The figures of the events that a rule's query matches; times are in nanoseconds, a share is from 0 to 1."""

EVERY_NS = 30 * NS_PER_S
KINDS = ("webhook", "slack", "command", "email")

_UNITS_NS = {"ms": 10**6, "s": NS_PER_S, "m": 60 * NS_PER_S, "h": 3600 * NS_PER_S, "d": 86_400 * NS_PER_S}
_RULE_KEYS = ("name", "query", "figure", "above", "below", "window", "at_least", "notify")
_TOP_KEYS = ("every", "rule", "notify")


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition: a figure of the last `window_ns` that is above or below a threshold.

    A share or a percentile of fewer than `at_least` requests is not judged.
    """

    name: str
    query: str
    expression: Expression
    figure: str
    threshold: float
    is_below: bool
    window_ns: int
    at_least: int
    notify: tuple[str, ...]

    def is_met(self, value: float | None) -> bool:
        """Return whether a figure calls for an alert; one that is not known does not."""
        if value is None:
            return False
        return value < self.threshold if self.is_below else value > self.threshold


@dataclass(frozen=True, slots=True)
class Notifier:
    """A place that notices go to: `kind` is one of `KINDS`; `server` is that of e-mail."""

    name: str
    kind: str
    target: tuple[str, ...]
    server: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a file, how often they are looked at, and the notifiers by name."""

    every_ns: int
    rules: tuple[Rule, ...]
    notifiers: Mapping[str, Notifier]


def load_rules(path: Path, parse: Callable[[str], Expression], environment: Mapping[str, str] | None = None) -> Rules:
    """Return the rules of a file; raises `SettingsError` with every fault in it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise SettingsError(f"{path} cannot be read: {fault.strerror}.") from None
    except ValueError as fault:
        raise SettingsError(f"{path} is not TOML: {fault}.") from None
    reader = _Reader(parse, os.environ if environment is None else environment)
    rules = reader.read(content)
    if reader.faults:
        raise SettingsError("\n".join(f"{path}: {fault}" for fault in reader.faults))
    return rules


class _Reader:
    """Reads the tables of a file, and collects what is wrong with them."""

    def __init__(self, parse: Callable[[str], Expression], environment: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._parse = parse
        self._environment = environment

    def read(self, content: dict[str, Any]) -> Rules:
        self._check_keys("the file", content, _TOP_KEYS)
        every_ns = self._duration("every", content.get("every", "30s")) or EVERY_NS
        tables = content.get("notify", {})
        if not isinstance(tables, dict):
            tables = self._fault("notify", "expected tables such as [notify.team]", {})
        notifiers = {name: self._notifier(name, table) for name, table in tables.items()}
        rules = content.get("rule", [])
        if not rules or not isinstance(rules, list):
            rules = self._fault("the file", "it has no rule: a rule begins with [[rule]]", [])
        read = tuple(self._rule(number, table, notifiers) for number, table in enumerate(rules, 1))
        names = [rule.name for rule in read]
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            self._fault(f"rule {name!r}", "several rules have this name", None)
        return Rules(every_ns, read, notifiers)

    def _notifier(self, name: str, table: Any) -> Notifier:
        where = f"notify.{name}"
        kinds = [kind for kind in KINDS if isinstance(table, dict) and kind in table]
        if len(kinds) != 1:
            return self._fault(where, f"expected one of {', '.join(KINDS)}", Notifier(name, "", ()))
        (kind,) = kinds
        self._check_keys(where, table, (kind, "smtp") if kind == "email" else (kind,))
        values = table[kind] if isinstance(table[kind], list) else [table[kind]]
        target = tuple(self._text(f"{where}.{kind}", value) for value in values)
        server = self._text(f"{where}.smtp", table.get("smtp", "smtp://127.0.0.1:25")) if kind == "email" else ""
        if kind in {"webhook", "slack"} and not all(_is_address(one, ("http", "https")) for one in target if one):
            self._fault(f"{where}.{kind}", "expected an address that begins with http:// or https://", None)
        if kind == "email":
            if not all("@" in one for one in target if one):
                self._fault(f"{where}.email", "expected addresses such as ops@example.com", None)
            if server and not _is_address(server, ("smtp", "smtps")):
                self._fault(f"{where}.smtp", "expected smtp://user:password@host:port, or smtps://", None)
        return Notifier(name, kind, target, server)

    def _rule(self, number: int, table: Any, notifiers: Mapping[str, Notifier]) -> Rule:
        if not isinstance(table, dict):
            table = self._fault(f"rule {number}", "expected a table, [[rule]]", {})
        name = self._text(f"rule {number}.name", table.get("name", ""))
        where = f"rule {name!r}" if name else f"rule {number}"
        if not name:
            self._fault(where, "it has no name", None)
        self._check_keys(where, table, _RULE_KEYS)
        query = self._text(f"{where}: query", table.get("query", ""))
        figure = table.get("figure", "events")
        if figure not in FIGURES:
            figure = self._fault(f"{where}: figure={figure!r}", f"expected one of {', '.join(FIGURES)}", "events")
        sides = [side for side in ("above", "below") if side in table]
        if len(sides) != 1:
            self._fault(where, "expected either above or below", None)
        side = sides[0] if len(sides) == 1 else "above"
        at_least = table.get("at_least", 1)
        if type(at_least) is not int or at_least < 1:
            at_least = self._fault(f"{where}: at_least={at_least!r}", "expected a whole number from 1 on", 1)
        return Rule(
            name=name,
            query=query,
            expression=self._expression(where, query),
            figure=str(figure),
            threshold=self._threshold(f"{where}: {side}", str(figure), table[side]) if side in table else 0.0,
            is_below=side == "below",
            window_ns=(
                self._duration(f"{where}: window", table["window"])
                if "window" in table
                else self._fault(where, "it has no window, such as 5m", None)
            )
            or NS_PER_S,
            at_least=int(at_least),
            notify=self._names(where, table.get("notify"), notifiers),
        )

    def _names(self, where: str, given: Any, notifiers: Mapping[str, Notifier]) -> tuple[str, ...]:
        names = list(notifiers) if given is None else [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not names:
            return self._fault(f"{where}: notify", "there is no notifier: add [notify.NAME]", ())
        for name in names:
            if name not in notifiers:
                self._fault(f"{where}: notify={name!r}", f"there is no [notify.{name}]", None)
        return tuple(map(str, names))

    def _expression(self, where: str, query: str) -> Expression:
        try:
            return self._parse(query)
        except QueryError as fault:
            self._fault(f"{where}: query={query!r}", f"{str(fault).rstrip('.')} (at {fault.position + 1})", None)
            return self._parse("")

    def _threshold(self, where: str, figure: str, value: Any) -> float:
        if figure.startswith("p"):
            return float(self._duration(where, value) or 0)
        if figure == "failed_share" and isinstance(value, str) and re.fullmatch(r"\d{1,3}(\.\d+)?%", value):
            return float(value[:-1]) / 100
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
        wanted = "a share such as 5% or 0.05" if figure == "failed_share" else "a number from 0 on"
        return self._fault(f"{where}={value!r}", f"expected {wanted}", 0.0)

    def _duration(self, where: str, value: Any) -> int | None:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", value) if isinstance(value, str) else None
        duration_ns = int(float(match[1]) * _UNITS_NS[match[2]]) if match else 0
        return duration_ns or self._fault(
            f"{where}={value!r}", "expected a time such as 250ms, 30s, 5m, 2h or 1d", None
        )

    def _text(self, where: str, value: Any) -> str:
        """Read a text; `env:NAME` stands for a variable, so that no secret has to be in the file."""
        if not isinstance(value, str):
            return self._fault(f"{where}={value!r}", "expected a text", "")
        if not value.startswith("env:"):
            return value
        if not (found := self._environment.get(value[4:], "")):
            self._fault(f"{where}={value!r}", "the variable is not set", None)
        return found

    def _check_keys(self, where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
        for key in sorted(set(table) - set(known)):
            close = get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            self._fault(where, f"{key!r} is not known, {hint}", None)

    def _fault(self, where: str, text: str, otherwise: T) -> T:
        self.faults.append(f"{where}: {text}.")
        return otherwise


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
