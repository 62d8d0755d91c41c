"""Events found in Elasticsearch's or OpenSearch's data streams.

Source: Elasticsearch API, "Search" and "Open a point in time"; OpenSearch, "Point in Time". What follows the first page
of a search is read from one point in time, in order of time. What the engine's own query language cannot say exactly is
asked for so that nothing is missed, and what comes too much is left out here, second copies of an event with it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal, InvalidOperation
from itertools import groupby, islice
from typing import Any as Json
from typing import TypeVar

from dashcam.destinations.elasticsearch.client import Client, OversizedAnswer, Response, logs_stream, spans_stream
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import StoreUnreachable
from dashcam.event import Event, format_time
from dashcam.find.query import And, Exists, Expression, MatchAll, Not, Or, Phrase, Query, Range, Term, Wildcard
from dashcam.find.values import IDS, SEARCHED, SHOWN, words_of

Dsl = dict[str, Json]
Kinds = Mapping[str, str]
T = TypeVar("T")

_PAGE = 1000
_MAX_TERM_BYTES = 32_766  # of a value in an index; the engine takes a longer one in a search for a fault
_KEEP_ALIVE = "2m"  # from one page to the next
_MAX_NAMES_CHARACTERS = 2000  # the first line of a request may have 4,096
_ID_CHARACTERS = 33  # of an `event.id` that is not derived from another


def open_store(options: Options) -> "ElasticsearchStore":
    """The store of the options' namespace."""
    return ElasticsearchStore(Client(options), options.namespace)


class ElasticsearchStore:
    """The two data streams of a namespace, read as one; a stream that is not there is empty."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._streams = f"{logs_stream(namespace)},{spans_stream(namespace)}"
        self._speaks_opensearch = False

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first; with a limit all of them are fetched before the first is given."""
        if query.limit:
            newest = list(islice(self._matching(query, "desc"), query.limit))
            yield from reversed(newest)
        else:
            yield from self._matching(query, "asc")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _matching(self, query: Query, order: str) -> Iterator[Event]:
        told: set[str] = set()
        for _, together in groupby(self._hits(query, order), key=lambda hit: hit["sort"][0]):
            # Copies of an event stand together: its id says its place in a segment, and so its time. One that was
            # derived, as that a request was aborted, may have been derived twice.
            events = {event.id or hit["_id"]: event for hit in together for event in [Event(hit["_source"])]}
            found = [event for event_id, event in events.items() if event_id not in told and query.matches(event)]
            told.update(event.id for event in found if len(event.id) != _ID_CHARACTERS)
            yield from sorted(found, key=lambda event: (event.time_ns, event.id), reverse=order == "desc")

    def _hits(self, query: Query, order: str) -> Iterator[Dsl]:
        """The hits of a search, in order of time; of the same time, in order of `event.id`."""
        kinds = self._kinds(fields_of(query.expression))
        if kinds is None:
            return
        search: Dsl = {
            "query": _all([at_least(query.expression, kinds), _between_times(query)]),
            "sort": [
                {"@timestamp": {"order": order, "numeric_type": "date_nanos"}},
                {"event.id": {"order": order, "unmapped_type": "keyword"}},
            ],
            "size": min(query.limit + 1, _PAGE) if query.limit else _PAGE,
            "track_total_hits": False,
        }
        # One page is one moment by itself, and most stories fit into it; only those behind it need a point in time.
        page = self._page(search, f"/{self._streams}/_search", {"ignore_unavailable": "true"})
        yield from page
        if len(page) < search["size"]:
            return
        with self._point_in_time() as search["pit"]:
            while len(page) == search["size"]:
                search["search_after"] = page[-1]["sort"]
                page = self._page(search, "/_search", {})
                yield from page

    def _page(self, search: Dsl, path: str, params: Mapping[str, str]) -> list[Dsl]:
        params = {**params, "allow_partial_search_results": "false"}
        while True:
            try:
                answer = self._ask("POST", path, search, params)
                break
            except OversizedAnswer:
                if search["size"] == 1:
                    raise
                search["size"] = max(1, search["size"] // 8)  # few events are as long as that
        shards = self._part(answer, "_shards", kind=dict)
        if answer.get("timed_out") or shards.get("failed") != 0:
            raise StoreUnreachable(
                f"{self._client.address} answered in part only: {shards.get('failed')} of {shards.get('total')} "
                f"shards failed, timed out: {answer.get('timed_out')}. Try a shorter span of time."
            )
        # The next page belongs to the point in time of this answer, which may have another name by now.
        if "pit" in search:
            search["pit"]["id"] = answer.get("pit_id", search["pit"]["id"])
        hits: list[Dsl] = self._part(answer, "hits", "hits", kind=list)
        for hit in hits:
            self._part(hit, "_source", kind=dict)
            self._part(hit, "sort", kind=list)
        return hits

    @contextmanager
    def _point_in_time(self) -> Iterator[Dsl]:
        point = {"id": self._open_point(), "keep_alive": _KEEP_ALIVE}
        try:
            yield point
        finally:
            # One that is not closed ends by itself.
            with suppress(StoreUnreachable):
                if self._speaks_opensearch:
                    self._client.ask("DELETE", "/_search/point_in_time", {"pit_id": [point["id"]]})
                else:
                    self._client.ask("DELETE", "/_pit", {"id": point["id"]})

    def _open_point(self) -> str:
        params = {"keep_alive": _KEEP_ALIVE, "ignore_unavailable": "true"}
        if not self._speaks_opensearch:
            opened = self._client.ask("POST", f"/{self._streams}/_pit", params=params)
            self._speaks_opensearch = opened.has_no_handler
            if not self._speaks_opensearch:
                return self._part(self._checked(opened), "id", kind=str)
        answer = self._ask("POST", f"/{self._streams}/_search/point_in_time", None, params)
        return self._part(answer, "pit_id", kind=str)

    def _kinds(self, fields: Iterable[str]) -> Kinds | None:
        """Return the type of each field that has one type everywhere; `None` without any stream."""
        names = ",".join(sorted({"@timestamp"}.union(*(_with_parents(field) for field in fields))))
        names = names if len(names) <= _MAX_NAMES_CHARACTERS else "*"
        params = {"fields": names, "include_unmapped": "true", "ignore_unavailable": "true"}
        answer = self._ask("GET", f"/{self._streams}/_field_caps", None, params)
        if not self._part(answer, "indices", kind=list):
            return None
        held = self._part(answer, "fields", kind=dict)
        return {name: next(iter(types)) for name, types in held.items() if len(types) == 1}

    def _ask(self, method: str, path: str, body: Dsl | None, params: Mapping[str, str]) -> Dsl:
        return self._checked(self._client.ask(method, path, body, params))

    def _checked(self, answer: Response) -> Dsl:
        if not answer.is_ok:
            right = f"read and view_index_metadata on {self._streams}"
            raise StoreUnreachable(self._client.explain(answer, right))
        return self._part({"answer": answer.body}, "answer", kind=dict)

    def _part(self, answer: Dsl, *names: str, kind: type[T]) -> T:
        """Return the part of an answer by these names; an answer of another form is not from a known engine."""
        value: Json = answer
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            raise StoreUnreachable(f"{self._client.address} gave an answer without {'.'.join(names)}: what is there?")
        return value


def fields_of(expression: Expression) -> Iterator[str]:
    """The fields an expression speaks of."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from fields_of(part)
        case Not(part):
            yield from fields_of(part)
        case Phrase(field=""):
            yield from (*SEARCHED, *SHOWN, *IDS, "labels")
        case MatchAll():
            return
        case _:
            yield expression.field


def at_least(expression: Expression, kinds: Kinds) -> Dsl:
    """The search for every event that an expression matches, and for others where the engine cannot be more exact."""
    return _search(expression, kinds, wide=True)


def _search(expression: Expression, kinds: Kinds, *, wide: bool) -> Dsl:
    """A search for at least the events that match, or, not `wide`, for none but those."""
    match expression:
        case MatchAll():
            return _ALL
        case And(parts):
            return _all([_search(part, kinds, wide=wide) for part in parts])
        case Or(parts):
            return _any([_search(part, kinds, wide=wide) for part in parts])
        case Not(part):
            return {"bool": {"must_not": [_search(part, kinds, wide=not wide)]}}
        case Phrase(text, "", prefix):
            leaves: list[Expression] = [Phrase(text, field, prefix) for field in (*SEARCHED, *SHOWN, "labels")]
            return _any([_search(leaf, kinds, wide=wide) for leaf in (*leaves, *expression.id_terms)])
    kind = _kind(expression.field, kinds)
    search, is_exact = _LEAVES.get(kind, _other)(expression)
    if not wide:
        return search if is_exact else _NONE
    if kind in {"text", "label", "unknown"}:
        return search
    # A value that is malformed or too long for its field is in no index, but the name of its field is.
    return _any([search, {"term": {"_ignored": expression.field}}])


_ALL: Dsl = {"match_all": {}}
_NONE: Dsl = {"match_none": {}}

Leaf = Term | Wildcard | Phrase | Range | Exists


def _all(searches: list[Dsl]) -> Dsl:
    return {"bool": {"filter": searches}}


def _any(searches: list[Dsl]) -> Dsl:
    return {"bool": {"should": searches, "minimum_should_match": 1}} if searches else _NONE


def _term(field: str, value: str) -> Dsl:
    return {"term": {field: value}} if len(value.encode()) <= _MAX_TERM_BYTES else _NONE


def _has(field: str) -> Dsl:
    return {"exists": {"field": field}}


_KINDS = {
    "flat_object": "label",
    "flattened": "label",
    "keyword": "keyword",
    "long": "long",
    "match_only_text": "text",
    "text": "text",
    "wildcard": "keyword",
}


def _with_parents(field: str) -> list[str]:
    names = field.split(".")
    return [".".join(names[:depth]) for depth in range(len(names), 0, -1)]


def _kind(field: str, kinds: Kinds) -> str:
    name, *parents = _with_parents(field)
    if any(_KINDS.get(kinds.get(parent, "")) == "label" for parent in parents):
        return "label"
    kind = kinds.get(name, "object")
    return "unknown" if kind in {"object", "nested", "unmapped"} else _KINDS.get(kind, "other")


def _keyword(leaf: Leaf) -> tuple[Dsl, bool]:
    match leaf:
        case Term(field, value):
            return _term(field, value), True
        case Wildcard(field, ""):
            return _term(field, ""), True  # as a pattern the engine takes it for none
        case Wildcard(field, pattern):
            loose = _loosened(pattern)
            return {"wildcard": {field: {"value": loose}}}, loose == pattern
        case Phrase(text, field):
            # The engine folds capitals of ASCII alone; K and I have others, the Kelvin sign and a dotted capital.
            runs = [re.sub("[ik]", "?", run) for run in re.findall("[0-9a-z]+", text.lower())]
            return _all([_holding(field, run, case_insensitive=True) for run in runs]), False
    return _has(leaf.field), isinstance(leaf, Exists)


# A pattern becomes an automaton, and the engine allows it some 10,000 steps of work: the square of a long pattern.
_PATTERN_SIGNS = 100


def _holding(field: str, run: str, **options: bool) -> Dsl:
    return {"wildcard": {field: {"value": f"*{run[:_PATTERN_SIGNS]}*", **options}}}


def _loosened(pattern: str) -> str:
    """A pattern that is no more work than the engine allows; `?` and `*` together are the most."""
    signs = re.findall(r"\\?.", pattern, re.DOTALL)
    if "*" in signs:
        signs = ["*" if sign == "?" else sign for sign in signs]
    return "".join(signs if len(signs) <= _PATTERN_SIGNS else [*signs[:_PATTERN_SIGNS], "*"])


# Letters that every tokenizer of words keeps together, and that are the same small letters everywhere.
_RUN = re.compile("[0-9a-zß-öø-ʯά-ρτ-ώа-ԯ]+")


def _text(leaf: Leaf) -> tuple[Dsl, bool]:
    """A text is held as words, which the engine cuts in other places than `words_of` does."""
    match leaf:
        case Term(field, value):
            pieces = [value]
        case Wildcard(field, pattern):
            pieces = ["" if sign in "*?" else sign[-1] for sign in re.findall(r"\\?.", pattern, re.DOTALL)]
            pieces = "".join(piece or "\0" for piece in pieces).split("\0")
        case Phrase(text, field):
            if not words_of(text):
                return _NONE, True
            pieces = [text]
        case _:
            return _ALL, False
    runs = [run for piece in pieces for run in _RUN.findall(piece.lower())]
    return _all([_holding(field, run) for run in runs]), False


def _long(leaf: Leaf) -> tuple[Dsl, bool]:
    """A whole number; a broken one is held without what follows its point, and so it is asked for."""
    match leaf:
        case Term(field, value) if (number := _number(value)) is not None:
            return {"term": {field: _clamped(number)}}, False
        case Range(field, low, high):
            bounds = {"gte": low, "lte": high}
            held = {name: _clamped(bound) for name, bound in bounds.items() if bound is not None}
            return {"range": {field: held}}, False
    return _has(leaf.field), isinstance(leaf, Exists)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _clamped(number: float | Decimal) -> int:
    return int(max(-(2**63), min(2**63 - 1, number)))


def _label(leaf: Leaf) -> tuple[Dsl, bool]:
    """A label is held as `name=value`, numbers too, with all their digits."""
    match leaf:
        case Term(field, value) if not re.fullmatch("-?[0-9.]+[eE][-+0-9]+", value):
            return _term(field, value), False
        case Phrase(_, "labels"):
            return _keyword(leaf)
        case Wildcard(field, pattern) if not pattern.startswith(("*", "?", "\\")):
            return {"prefix": {field: re.split(r"[*?\\]", pattern)[0]}}, False
    return _has(leaf.field), False


def _unknown(_leaf: Leaf) -> tuple[Dsl, bool]:
    return _ALL, False


def _other(leaf: Leaf) -> tuple[Dsl, bool]:
    return _has(leaf.field), isinstance(leaf, Exists)


_LEAVES = {"keyword": _keyword, "label": _label, "long": _long, "text": _text, "unknown": _unknown}


def _between_times(query: Query) -> Dsl:
    bounds = {}
    if query.since_ns is not None:
        bounds["gte"] = format_time(max(0, query.since_ns))
    if query.until_ns is not None:
        bounds["lte"] = format_time(max(0, query.until_ns) + 1000)  # format_time cuts nanoseconds off
    return {"range": {"@timestamp": bounds}} if bounds else _ALL
