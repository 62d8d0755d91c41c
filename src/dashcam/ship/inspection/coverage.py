"""The coverage of a spool: requests, calls and logs that the services there do not record yet."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from dashcam.ship.listing import SpoolListing, open_segment
from dashcam.spool.line import MAX_TIME_NS

MAX_SEGMENTS = 256  # of a service, the newest ones, that are searched for warnings: of a start, maybe long ago
MAX_COUNTED = 4  # of these, the newest, whose lines are all counted
OWN_LOGGERS = {f"dashcam.{name}" for name in ("instrument", "logging", "requests", "settings")}
SERVERS = {"celery", "daphne", "gunicorn", "hypercorn", "uvicorn", "werkzeug"}  # their log lines belong to no request
_OF_OUR_OWN = b'"log":{"logger":"dashcam.'

Fields = dict[str, Any]


@dataclass(slots=True)
class Coverage:
    """The newest lines of one service: of the processes that run, or of the last one that ran.

    `requests` counts served requests and jobs, `logs` log lines except the ones of servers. `bare_logs` have no request
    ID, and `bare_meanwhile` of them were recorded while the same process served a request. `answered` counts HTTP calls
    that became a server span of a recorded service. `unanswered` calls, by address, did not; `parted` calls, by
    service, did in a trace of their own. `warnings` has the fix for each warning of the recorder.
    """

    service: str
    is_running: bool
    requests: int = 0
    logs: int = 0
    bare_logs: int = 0
    bare_meanwhile: int = 0
    answered: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    parted: Counter[str] = field(default_factory=Counter)
    warnings: dict[str, str] = field(default_factory=dict)


def collect_coverage(folder: Path) -> list[Coverage]:
    """Return the coverage of each service below a `DASHCAM_DIR`, by name; of files that cannot be read, nothing."""
    listing = SpoolListing(folder / "spool")
    listing.refresh()
    by_service: dict[Path, list[Path]] = defaultdict(list)
    for path in listing.paths.values():
        by_service[path.parent].append(path)
    found = [_read_service(paths[-MAX_SEGMENTS:]) for paths in by_service.values()]
    served = _Served({coverage.service: read for coverage, read in found})
    for coverage, read in found:
        _count_logs(coverage, read)
        _match_calls(coverage, read, served)
    return sorted((coverage for coverage, read in found if read), key=lambda each: each.service)


def _read_service(paths: list[Path]) -> tuple[Coverage, list[Fields]]:
    """Return a service with nothing counted yet, and its lines, each with the `pid` of its process."""
    coverage, segments = Coverage("", is_running=False), []
    for path in paths:
        with suppress(OSError, ValueError), open_segment(path) as reader:  # gone, or not a segment: `status` says so
            is_live = not reader.is_final()
            segments.append((path, reader.header.pid, is_live))
            coverage.service, coverage.is_running = reader.header.service, coverage.is_running or is_live
    pids = {pid for _, pid, is_live in segments if is_live} or {pid for _, pid, _ in segments[-1:]}
    present = [(path, pid) for path, pid, _ in segments if pid in pids]
    older, newest = present[:-MAX_COUNTED], present[-MAX_COUNTED:]
    lines = [fields for path, pid in older for fields in _read_lines(path, pid, _OF_OUR_OWN)]
    return coverage, lines + [fields for path, pid in newest for fields in _read_lines(path, pid)]


def _read_lines(path: Path, pid: int, wanted: bytes = b"") -> Iterator[Fields]:
    with suppress(OSError, ValueError), open_segment(path) as reader:
        for passage in reader.passages(is_final=reader.is_final()):
            for line, _ in passage.lines:
                if wanted in line:
                    with suppress(ValueError):  # damaged
                        yield orjson.loads(line) | {"pid": pid}


def _count_logs(coverage: Coverage, lines: list[Fields]) -> None:
    served = _served_times(lines)
    for line in lines:
        if "processor" in line:
            coverage.requests += _is_served(line)
        elif _get(line, "log", "logger") in OWN_LOGGERS:
            message, labels = str(line.get("message")), dict(line.get("labels") or {})
            fix, _ = str(labels.pop("fix", "")), labels.pop("length", None)  # each caller's ID has one of its own
            details = [f"{name}={value}" for name, value in labels.items() if str(value) not in message]
            coverage.warnings[" ".join([message, *details])] = fix
        elif str(_get(line, "log", "logger")).partition(".")[0] not in SERVERS:
            coverage.logs += 1
            if not _get(line, "http", "request", "id"):
                coverage.bare_logs += 1
                time_ns, times = line["time_ns"], served[line["pid"]]
                at = bisect_right(times, (time_ns, MAX_TIME_NS)) - 1
                coverage.bare_meanwhile += at >= 0 and times[at][0] <= time_ns <= times[at][1]


def _served_times(lines: list[Fields]) -> dict[int, list[tuple[int, int]]]:
    """Return from when to when each process served requests, in nanoseconds, in order and without overlaps."""
    times: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for line in sorted(filter(_is_served, lines), key=lambda line: int(line["time_ns"])):
        begin_ns, merged = line["time_ns"], times[line["pid"]]
        end_ns = begin_ns + int(_get(line, "event", "duration") or 0)
        if merged and begin_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end_ns, merged[-1][1])
        else:
            merged.append((begin_ns, end_ns))
    return times


def _is_served(line: Fields) -> bool:
    is_root = bool(_get(line, "processor", "event") == "transaction")
    return is_root and _get(line, "span", "kind") != "client"


def _match_calls(coverage: Coverage, lines: list[Fields], served: "_Served") -> None:
    """Look for the server span that each HTTP call became, in any service of this spool."""
    for call in lines:
        address = urlsplit(str(_get(call, "url", "full") or ""))
        if _get(call, "span", "kind") != "client" or not address.netloc:
            continue
        if _get(call, "span", "id") in served.parents:
            coverage.answered += 1
        elif service := served.apart(call, address.path or "/"):
            coverage.parted[service] += 1
        else:
            coverage.unanswered[address.netloc.rpartition("@")[2]] += 1


class _Served:
    """The requests that the services of a spool served, to be found by whose call they were."""

    def __init__(self, services: dict[str, list[Fields]]) -> None:
        self.parents: set[str] = set()
        self._roots: dict[tuple[Any, Any], list[tuple[int, str]]] = defaultdict(list)
        for service, lines in services.items():
            for line in lines:
                if _get(line, "processor", "event") != "transaction" or _get(line, "span", "kind") != "server":
                    continue
                if parent := _get(line, "parent", "id"):
                    self.parents.add(parent)
                else:
                    key = _get(line, "http", "request", "method"), _get(line, "url", "path")
                    self._roots[key].append((line["time_ns"], service))
        for roots in self._roots.values():
            roots.sort()

    def apart(self, call: Fields, path: str) -> str:
        """Return the service that began a trace of its own while a call of the same method and path was under way."""
        roots = self._roots.get((_get(call, "http", "request", "method"), path), [])
        until_ns = call["time_ns"] + int(_get(call, "event", "duration") or 0)
        at = bisect_left(roots, (call["time_ns"], ""))
        return roots[at][1] if at < len(roots) and roots[at][0] <= until_ns else ""


def _get(fields: Fields, *names: str) -> Any:
    value: Any = fields
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
