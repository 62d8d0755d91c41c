"""Events found in Elasticsearch's or OpenSearch's data streams.

Source: Elasticsearch API, "Search" and "Open a point in time"; OpenSearch, "Point in Time". What follows the first page
of a search is read from one point in time, in order of time. What the engine's own query language cannot say exactly is
asked for so that nothing is missed, and what comes too much is left out here, second copies of an event with it.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from typing import TypeVar

import orjson

from dashcam.destinations.elasticsearch.aggregation import (
    GROUPS_PATH,
    MAX_GROUPS,
    Span,
    add_groups,
    can_group,
    copies_search,
    exact_search,
    groups_search,
    ignored_search,
    outline_search,
    overlaps,
    span_of,
    suspects_search,
    without_copies,
)
from dashcam.destinations.elasticsearch.client import Client, OversizedAnswer, Response, logs_stream, spans_stream
from dashcam.destinations.elasticsearch.expressions import ALL, Dsl, Kinds, all_of, at_least, fields_of, with_parents
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import StoreUnreachable
from dashcam.event import NS_PER_S, Event, format_time
from dashcam.find.aggregation import DURATION, Grouping, Groups
from dashcam.find.query import Query

T = TypeVar("T")

_PAGE = 1000
_DAY_NS = 86_400 * NS_PER_S
_KEEP_ALIVE = "2m"  # from one page to the next
_MAX_NAMES_CHARACTERS = 2000  # the first line of a request may have 4,096
_STARTING_PAUSES_S = (0.1, 0.2, 0.4, 0.8)  # an index that was just made cannot be searched for some of these
_ID_CHARACTERS = 33  # of an `event.id` that is not derived from another


def open_store(options: Options) -> "ElasticsearchStore":
    """The store of the options' namespace."""
    return ElasticsearchStore(Client(options), options.namespace, options.retention_days)


class ElasticsearchStore:
    """The two data streams of a namespace, read as one; a stream that is not there is empty."""

    def __init__(self, client: Client, namespace: str, retention_days: int = 14) -> None:
        self._client = client
        self._retention_days = retention_days
        self._streams = f"{logs_stream(namespace)},{spans_stream(namespace)}"
        self._speaks_opensearch = False

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first; with a limit all of them are fetched before the first is given."""
        if query.limit:
            newest = list(islice(self._matching(query, "desc"), query.limit))
            yield from reversed(newest)
        else:
            yield from self._matching(query, "asc")

    def find_copies(self, query: Query) -> Iterator[Event]:
        """The events of a query, each document: also a second one of an event, under another `_id` or changed.

        A resend across a rollover makes a second document that is the same, and counts as one.
        """
        for _, together in groupby(self._hits(query, "asc"), key=lambda hit: hit["sort"][0]):
            documents = {(hit["_id"], orjson.dumps(hit["_source"])): Event(hit["_source"]) for hit in together}
            yield from (event for event in documents.values() if query.matches(event))

    def let_go_ns(self) -> int:
        """The time up to which the engine may have let events go, because of their age."""
        return time.time_ns() - self._retention_days * _DAY_NS

    def aggregate(self, query: Query, groupings: Sequence[Grouping]) -> list[Groups | None]:
        """Return the groups of a query as the engine counts them; `None` where it cannot count exactly."""
        return [self._aggregate(query, grouping) for grouping in groupings]

    def _aggregate(self, query: Query, grouping: Grouping) -> Groups | None:
        kinds = self._kinds((*fields_of(query.expression), *grouping.fields, DURATION))
        if kinds is None:
            return {}
        search = exact_search(query, kinds)
        if search is None or not can_group(grouping, kinds):
            return None
        if self._client.part(self._search(ignored_search(query, grouping)), "hits", "total", "value", kind=int):
            return None
        try:
            outline = self._client.part(self._search(outline_search(search, grouping)), "aggregations", kind=dict)
            search = self._without_copies(search, outline)
            return None if search is None else self._groups(search, grouping, span_of(outline))
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise StoreUnreachable(
                f"{self._client.address} gave an answer without the expected content ({fault!r}): is it Elasticsearch "
                "or OpenSearch?"
            ) from fault

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _without_copies(self, search: Dsl, outline: Dsl) -> Dsl | None:
        """Return a search that finds each event once; `None` where too many may have a copy."""
        exact = search
        for index, older, last_ms in overlaps(outline):
            ids = self._ids(suspects_search(search, index, last_ms))
            if len(ids) == MAX_GROUPS:
                return None
            if ids and (copies := self._ids(copies_search(search, older, ids))):
                exact = without_copies(exact, index, copies)
        return exact

    def _ids(self, search: Dsl) -> list[str]:
        hits = self._client.part(self._search(search), "hits", "hits", kind=list)
        return [Event(hit["_source"]).id for hit in hits]

    def _groups(self, search: Dsl, grouping: Grouping, span: Span | None) -> Groups:
        groups: Groups = {}
        page = groups_search(search, grouping, span)
        while True:
            answer = self._search(page, filter_path=GROUPS_PATH)
            found = answer.get("aggregations", {}).get("groups", {})
            add_groups(groups, found.get("buckets", ()), grouping, span)
            if "after_key" not in found:
                return groups
            page["aggs"]["groups"]["composite"]["after"] = found["after_key"]

    def _search(self, body: Dsl, **params: str) -> Dsl:
        given = {"ignore_unavailable": "true", "allow_partial_search_results": "false", **params}
        return self._whole(self._ask("POST", f"/{self._streams}/_search", body, given))

    def _whole(self, answer: Dsl) -> Dsl:
        shards = self._client.part(answer, "_shards", kind=dict)
        if answer.get("timed_out") or shards.get("failed") != 0:
            raise StoreUnreachable(
                f"{self._client.address} gave only a partial answer: {shards.get('failed')} of {shards.get('total')} "
                f"shards failed, timed out: {answer.get('timed_out')}. Try a shorter period."
            )
        return answer

    def _matching(self, query: Query, order: str) -> Iterator[Event]:
        found_ids: set[str] = set()
        for _, together in groupby(self._hits(query, order), key=lambda hit: hit["sort"][0]):
            # Copies of an event stand together: its id says its place in a segment, and so its time. One that was
            # derived, as that a request was aborted, may have been derived twice.
            events = {event.id or hit["_id"]: event for hit in together for event in [Event(hit["_source"])]}
            found = [event for event_id, event in events.items() if event_id not in found_ids and query.matches(event)]
            found_ids.update(event.id for event in found if len(event.id) != _ID_CHARACTERS)
            yield from sorted(found, key=lambda event: (event.time_ns, event.id), reverse=order == "desc")

    def _hits(self, query: Query, order: str) -> Iterator[Dsl]:
        """The hits of a search, in order of time; of the same time, in order of `event.id`."""
        kinds = self._kinds(fields_of(query.expression))
        if kinds is None:
            return
        search: Dsl = {
            "query": all_of([at_least(query.expression, kinds), _between_times(query)]),
            "sort": [
                {"@timestamp": {"order": order, "numeric_type": "date_nanos"}},
                {"event.id": {"order": order, "unmapped_type": "keyword"}},
            ],
            "size": min(query.limit + 2, _PAGE) if query.limit else _PAGE,
            "track_total_hits": False,
        }
        # One page is one moment by itself, and most stories fit into it; only those behind it need a point in time.
        page = self._page(search, f"/{self._streams}/_search", {"ignore_unavailable": "true"})
        if len(page) < search["size"]:
            yield from page
            return
        yield from (whole := _without_last(page))
        with self._point_in_time() as search["pit"]:
            while len(page) == search["size"]:
                if whole:
                    search["search_after"] = whole[-1]["sort"]
                page = self._page(search, "/_search", {})
                # In a point in time, the engine breaks ties where a whole page is of one moment and one `event.id`.
                whole = (_without_last(page) or page) if len(page) == search["size"] else page
                yield from whole

    def _page(self, search: Dsl, path: str, params: Mapping[str, str]) -> list[Dsl]:
        params = {**params, "allow_partial_search_results": "false"}
        while True:
            try:
                answer = self._whole(self._ask("POST", path, search, params))
                break
            except OversizedAnswer:
                if search["size"] == 1:
                    raise
                search["size"] = max(1, search["size"] // 8)  # few events are as long as that
        # The next page belongs to the point in time of this answer, which may have another name by now.
        if "pit" in search:
            search["pit"]["id"] = answer.get("pit_id", search["pit"]["id"])
        hits: list[Dsl] = self._client.part(answer, "hits", "hits", kind=list)
        for hit in hits:
            self._client.part(hit, "_source", kind=dict)
            self._client.part(hit, "sort", kind=list)
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
                return self._client.part(self._checked(opened), "id", kind=str)
        answer = self._ask("POST", f"/{self._streams}/_search/point_in_time", None, params)
        return self._client.part(answer, "pit_id", kind=str)

    def _kinds(self, fields: Iterable[str]) -> Kinds | None:
        """Return the type of each field that has one type everywhere; `None` without any stream."""
        names = ",".join(sorted({"@timestamp"}.union(*(with_parents(field) for field in fields))))
        names = names if len(names) <= _MAX_NAMES_CHARACTERS else "*"
        params = {"fields": names, "include_unmapped": "true", "ignore_unavailable": "true"}
        answer = self._ask("GET", f"/{self._streams}/_field_caps", None, params)
        if not self._client.part(answer, "indices", kind=list):
            return None
        held = self._client.part(answer, "fields", kind=dict)
        return {name: next(iter(types)) for name, types in held.items() if len(types) == 1}

    def _ask(self, method: str, path: str, body: Dsl | None, params: Mapping[str, str]) -> Dsl:
        answer = self._client.ask(method, path, body, params)
        for pause_s in _STARTING_PAUSES_S:
            if not (answer.status == 503 and answer.reason.startswith("search_phase_execution_exception")):
                break
            time.sleep(pause_s)
            answer = self._client.ask(method, path, body, params)
        return self._checked(answer)

    def _checked(self, answer: Response) -> Dsl:
        if not answer.is_ok:
            right = f"read and view_index_metadata on {self._streams}"
            raise StoreUnreachable(self._client.explain(answer, right))
        return self._client.part(answer.body, kind=dict)


def _without_last(page: Sequence[Dsl]) -> list[Dsl]:
    """Return the hits of a page but the last, and those of its time and `event.id`: of these, more may follow."""
    last = page[-1]["sort"][:2]
    return [hit for hit in page if hit["sort"][:2] != last]


def _between_times(query: Query) -> Dsl:
    bounds = {}
    if query.since_ns is not None:
        bounds["gte"] = format_time(max(0, query.since_ns))
    if query.until_ns is not None:
        bounds["lte"] = format_time(max(0, query.until_ns) + 1000)  # format_time cuts nanoseconds off
    return {"range": {"@timestamp": bounds}} if bounds else ALL
