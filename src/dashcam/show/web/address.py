"""The address of a page: all that a page shows is in it, so that a link shows the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlencode

from dashcam.event import NS_PER_S, format_time, parse_time

FILTERS = ("service", "route", "path", "status", "duration")
"""The filters of the list of requests, by the names of a search."""

TIME_RANGES = {"15m": "15 minutes", "1h": "1 hour", "24h": "24 hours", "7d": "7 days", "all": "all time"}

SINCE_S = {"15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800}

LATE_NS = 60 * NS_PER_S  # how long after it happened an event may arrive and still come into a live page

MAX_COLUMNS = 8  # of labels in the list of events


@dataclass(frozen=True, slots=True)
class Address:
    """The path and the parameters of a page's address, those that mean nothing left out.

    `since` is a length of time until now, unless `since_ns` and `until_ns` are given: a period that stays where it is.
    `before_ns` is where a list goes on that was cut, `after_ns` what a live page has already. `columns` are labels,
    `facet` is the label whose values are counted.
    """

    path: str
    q: str = ""
    since: str = "24h"
    since_ns: int | None = None
    until_ns: int | None = None
    before_ns: int | None = None
    after_ns: int | None = None
    columns: tuple[str, ...] = ()
    facet: str = ""
    is_local: bool = False
    filters: Mapping[str, str] | None = None

    @classmethod
    def read(cls, path: str, given: Mapping[str, str], since: str = "24h") -> Self:
        """Return what an address asks for; `since` is the page's own length of time."""
        since_ns, until_ns = _moment(given.get("from", "")), _moment(given.get("to", ""))
        is_period = since_ns is not None and until_ns is not None and since_ns < until_ns
        names = dict.fromkeys(filter(None, (name.strip() for name in given.get("columns", "").split(","))))
        return cls(
            path,
            q=given.get("q", "").strip(),
            since=asked if (asked := given.get("since", since)) in TIME_RANGES else since,
            since_ns=since_ns if is_period else None,
            until_ns=until_ns if is_period else None,
            before_ns=_number(given.get("before", "")),
            after_ns=_number(given.get("after", "")),
            columns=tuple(names)[:MAX_COLUMNS],
            facet=given.get("facet", "").strip(),
            is_local=given.get("zone") == "local",
            filters={name: text for name in FILTERS if (text := given.get(name, "").strip())},
        )

    def url(self, path: str = "", **more: str | int) -> str:
        """Return the address of a page that shows the same, here or at another path."""
        period = {"since": self.since}
        if self.since_ns is not None and self.until_ns is not None:
            period |= {"from": spell_moment(self.since_ns), "to": spell_moment(self.until_ns)}
        values = {
            "q": self.q,
            **(self.filters or {}),
            **period,
            "columns": ",".join(self.columns),
            "facet": self.facet,
            "zone": "local" if self.is_local else "",
        }
        shown = {name: value for name, value in {**values, **more}.items() if value not in {"", None}}
        return f"{path or self.path}?{urlencode(shown)}"

    def with_period(self, since_ns: int | None, until_ns: int | None) -> "Address":
        """Return the same of another period; without one, of the length of time until now."""
        return replace(self, since_ns=since_ns, until_ns=until_ns)

    def with_value(self, name: str, value: str) -> "Address":
        """Return the same of the events alone that have a value in a field, which has a short name or is a label."""
        asked = f"({self.q})" if " OR " in self.q else self.q
        return replace(self, q=f"{asked} {term(name, value)}".lstrip())

    def with_values(self, values: Iterable[tuple[str, str]]) -> "Address":
        """Return the same of the events alone that have some values."""
        address = self
        for name, value in values:
            address = address.with_value(name, value)
        return address

    def with_column(self, name: str) -> "Address":
        """Return the same with a label as a column, or without it if it is one."""
        others = tuple(each for each in self.columns if each != name)
        return replace(self, columns=others if name in self.columns else (*self.columns, name))

    def with_facet(self, label: str) -> "Address":
        """Return the same with the values of a label counted, or of none if they are."""
        return replace(self, facet="" if self.facet == label else label)

    def with_zone(self, *, is_local: bool) -> "Address":
        """Return the same with times of the reader's own zone, or in UTC."""
        return replace(self, is_local=is_local)

    def period(self, now_ns: int) -> tuple[int | None, int]:
        """Return the beginning of the period, `None` for all time, and its end, in nanoseconds."""
        if self.since_ns is not None and self.until_ns is not None:
            return self.since_ns, self.until_ns
        seconds = SINCE_S.get(self.since)
        return None if seconds is None else now_ns - seconds * NS_PER_S, now_ns

    def bounds(self, now_ns: int) -> tuple[int | None, int | None]:
        """Return the bounds of a list on this page; what is to come is within them."""
        since_ns, _ = self.period(now_ns)
        if self.after_ns is not None:
            since_ns = max(since_ns or 0, self.after_ns - LATE_NS)
        ends = [end_ns for end_ns in (self.until_ns, self.before_ns) if end_ns is not None]
        return since_ns, min(ends, default=None)


def term(name: str, value: str) -> str:
    r"""Return a search for the events that have a value in a field; without a value, for those that have none.

    >>> term("service", "cars"), term("labels.note", 'a "good" one'), term("route", "")
    ('service:"cars"', 'labels.note:"a \\"good\\" one"', '-route:*')
    """
    if not value:
        return f"-{name}:*"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}:"{quoted}"'


def spell_moment(time_ns: int) -> str:
    """Return a moment as an address has it: in UTC, to the millisecond."""
    return f"{format_time(time_ns)[:23]}Z"


def _moment(text: str) -> int | None:
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None
