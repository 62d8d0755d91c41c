"""Searches for the groups of events, as the engine counts them.

Source: Elasticsearch API, "Composite aggregation" and "Range aggregation". A search is exact here, or there is none: a
field that is analysed, that not every index has, or that is a label on OpenSearch has to be read.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dashcam.destinations.elasticsearch.expressions import (
    ALL,
    Dsl,
    Kinds,
    all_of,
    any_of,
    fields_of,
    kind_of,
    leaf_search,
    none_of,
)
from dashcam.event import format_time
from dashcam.find.aggregation import DURATION, EDGES_NS, Durations, Group, Grouping, Groups, Key, bucket_of
from dashcam.find.fields import WHOLE_NUMBERS
from dashcam.find.query import And, Expression, MatchAll, Not, Or, Phrase, Query, Range, Term

MAX_BUCKETS = 60_000  # of an answer; the engine allows 65,536
MAX_GROUPS = 10_000  # of an answer

_WHOLE = WHOLE_NUMBERS | {DURATION}  # every event has whole numbers there
_GENERATION = re.compile(r"(-\d{4}\.\d\d\.\d\d)?-\d{6}$")  # of an index of a data stream


@dataclass(frozen=True, slots=True)
class Span:
    """The buckets that the times of a search lie in, both ends included."""

    first: int
    last: int

    @property
    def ranges(self) -> list[dict[str, int]]:
        """The buckets as ranges of nanoseconds."""
        return [{"from": EDGES_NS[one], "to": EDGES_NS[one + 1]} for one in range(self.first, self.last + 1)]


def exact_search(query: Query, kinds: Kinds) -> Dsl | None:
    """Return an exact search for a query, or `None` if Elasticsearch cannot express one."""
    found = _exactly(query.expression, kinds)
    return None if found is None else all_of([found, _between(query)])


def _exactly(expression: Expression, kinds: Kinds) -> Dsl | None:
    match expression:
        case MatchAll():
            return ALL
        case And(parts) | Or(parts):
            searches = [search for part in parts if (search := _exactly(part, kinds)) is not None]
            join = all_of if isinstance(expression, And) else any_of
            return join(searches) if len(searches) == len(parts) else None
        case Not(part):
            search = _exactly(part, kinds)
            return None if search is None else none_of([search])
        case Phrase():
            return None
    if kind_of(expression.field, kinds) == "long" and expression.field in _WHOLE:
        return _whole(expression)
    search, is_exact = leaf_search(expression, kinds)
    return search if is_exact else None


def _whole(leaf: Expression) -> Dsl | None:
    match leaf:
        case Range(field, low, high, low_inclusive, high_inclusive):
            bounds = {"gte" if low_inclusive else "gt": low, "lte" if high_inclusive else "lt": high}
            held = {name: bound for name, bound in bounds.items() if bound is not None}
            return {"range": {field: held}} if all(abs(bound) < 2**63 for bound in held.values()) else None
        case Term(field, value) if re.fullmatch("0|[1-9][0-9]{0,17}", value):
            return {"term": {field: int(value)}}
    return None


def _between(query: Query) -> Dsl:
    bounds = {"gte": query.since_ns, "lt": query.until_ns}
    # An event's time is in whole microseconds, so a bound between two is the later one.
    held = {name: format_time(max(0, -(-ns // 1000) * 1000)) for name, ns in bounds.items() if ns is not None}
    return {"range": {"@timestamp": held}} if held else ALL


def can_group(grouping: Grouping, kinds: Kinds) -> bool:
    """Return whether the engine holds the values of a grouping's fields as they are."""
    if grouping.is_timed and kinds.get(DURATION) != "long":
        return False
    for field in grouping.fields:
        kind = kind_of(field, kinds)
        is_whole = kind == "long" and field in _WHOLE
        is_flattened = kind == "label" and kinds.get(field.split(".", maxsplit=1)[0]) == "flattened"
        if not (kind == "keyword" or is_whole or is_flattened):
            return False
    return True


def ignored_search(query: Query, grouping: Grouping) -> Dsl:
    """Return the search for an event with a value that is in no index: it has to be read.

    OpenSearch names only values of a wrong type: a text of more than 8,191 characters counts as missing there.
    """
    timed = {DURATION} if grouping.is_timed else set()
    names = sorted({*fields_of(query.expression), *grouping.fields} | timed)
    roots = {name.split(".")[0] for name in names if name.startswith("labels.")}
    ignored = {"terms": {"_ignored": [*names, *sorted(roots)]}}
    return {"size": 0, "terminate_after": 1, "query": all_of([ignored, _between(query)])}


def outline_search(search: Dsl, grouping: Grouping) -> Dsl:
    """Return the search for the indices that events lie in, and for their least and greatest time taken."""
    ends = {"first": {"min": {"field": "@timestamp"}}, "last": {"max": {"field": "@timestamp"}}}
    aggregations: Dsl = {"indices": {"terms": {"field": "_index", "size": MAX_GROUPS}, "aggs": ends}}
    if grouping.is_timed:
        aggregations |= {"least": {"min": {"field": DURATION}}, "most": {"max": {"field": DURATION}}}
    return {"size": 0, "track_total_hits": False, "query": search, "aggs": aggregations}


def span_of(outline: Dsl) -> Span | None:
    """Return the buckets of the times of an outline; `None` without any."""
    least, most = (outline.get(name, {}).get("value") for name in ("least", "most"))
    return None if least is None or most is None else Span(bucket_of(int(least)), bucket_of(int(most)))


def overlaps(outline: Dsl) -> Iterator[tuple[str, list[str], int]]:
    """Yield each index whose events may be in older ones too, with these, and the milliseconds of their last event.

    An engine refuses an id that it has, but looks for it in one index only.
    """
    streams: dict[str, list[Dsl]] = {}
    for bucket in sorted(outline["indices"]["buckets"], key=lambda bucket: str(bucket["key"])):
        streams.setdefault(_GENERATION.sub("", bucket["key"]), []).append(bucket)
    for indices in streams.values():
        for number, index in enumerate(indices[1:], 1):
            older = indices[:number]
            last_ms = max(int(one["last"]["value"]) + 1 for one in older)
            yield str(index["key"]), [str(one["key"]) for one in older], last_ms


def suspects_search(search: Dsl, index: str, last_ms: int) -> Dsl:
    """Return the search for the events of an index that older ones may have; an abort may be reported twice."""
    early = {"range": {"@timestamp": {"lte": last_ms, "format": "epoch_millis"}}}
    suspected = any_of([early, {"term": {"event.action": "request-aborted"}}])
    return _ids(all_of([search, {"term": {"_index": index}}, suspected]))


def copies_search(search: Dsl, indices: Sequence[str], ids: Iterable[str]) -> Dsl:
    """Return the search for the events of some indices with one of these ids."""
    return _ids(all_of([search, {"terms": {"_index": list(indices)}}, {"terms": {"event.id": list(ids)}}]))


def _ids(search: Dsl) -> Dsl:
    return {"size": MAX_GROUPS, "track_total_hits": False, "_source": ["event.id"], "query": search}


def without_copies(search: Dsl, index: str, ids: Iterable[str]) -> Dsl:
    """Return a search without the events of these ids in one index."""
    copies = all_of([{"term": {"_index": index}}, {"terms": {"event.id": list(ids)}}])
    return all_of([search, none_of([copies])])


def groups_search(search: Dsl, grouping: Grouping, span: Span | None) -> Dsl:
    """Return the search for the first page of groups."""
    sources: list[Dsl] = [
        {f"{number}": {"terms": {"field": field, "missing_bucket": True}}}
        for number, field in enumerate(grouping.fields)
    ]
    if grouping.step_ns:
        step = f"{grouping.step_ns // 1_000_000}ms"
        sources.append({"start": {"date_histogram": {"field": "@timestamp", "fixed_interval": step}}})
    ranges = span.ranges if span else []
    size = min(MAX_GROUPS, MAX_BUCKETS // (len(ranges) + 1))
    groups: Dsl = {"composite": {"size": size, "sources": sources}}
    if ranges:
        groups["aggs"] = {
            "times": {"range": {"field": DURATION, "ranges": ranges}},
            "least": {"min": {"field": DURATION}},
            "most": {"max": {"field": DURATION}},
        }
    return {"size": 0, "track_total_hits": False, "query": search, "aggs": {"groups": groups}}


_PARTS = ("key", "doc_count", "least.value", "most.value", "times.buckets.doc_count")
GROUPS_PATH = ",".join(
    ["_shards", "timed_out", "aggregations.groups.after_key", *(f"aggregations.groups.buckets.{one}" for one in _PARTS)]
)
"""The parts of an answer that are used; it is five times as long as a whole."""


def add_groups(groups: Groups, buckets: Iterable[Dsl], grouping: Grouping, span: Span | None) -> None:
    """Add a page of groups."""
    for bucket in buckets:
        found = [bucket["key"][f"{number}"] for number in range(len(grouping.fields))]
        values = tuple("" if value is None else str(value) for value in found)
        key = Key(values, int(bucket["key"].get("start", 0)) * 1_000_000)
        groups.setdefault(key, Group()).merge(Group(bucket["doc_count"], _durations(bucket, span)))


def _durations(bucket: Dsl, span: Span | None) -> Durations:
    least = bucket.get("least", {}).get("value")
    if span is None or least is None:
        return Durations()
    counts = enumerate((one["doc_count"] for one in bucket["times"]["buckets"]), span.first)
    return Durations({number: count for number, count in counts if count}, int(least), int(bucket["most"]["value"]))
