"""Decides from the shipped lines which requests are kept. All rules are here.

Memory is bounded: the recently kept requests, a histogram for each route, a budget per minute.
"""

import zlib
from collections import OrderedDict
from typing import Any, NamedTuple

import orjson

from dashcam import machine
from dashcam.event import EncodedEvent
from dashcam.settings import Settings
from dashcam.ship.clips.durations import Durations, RouteDurations
from dashcam.spool.held import request_of
from dashcam.spool.line import KEEP_HEAD, level_at

MAX_KEPT = 20_000  # requests whose further lines are shipped at once
MAX_ROUTES = 1_000  # with a histogram

_ERRORS = (b',"log.level":"error"', b',"log.level":"critical"')
_SERVED = b',"processor":{"event":"transaction"}'
_FAILED = _SERVED + b',"log.level":"error"'
TELLING = (*_ERRORS, _SERVED, KEEP_HEAD)
_REFUSED = b'"keep_refused":true'
_UNHANDLED = b',"log":{"logger":"dashcam.unhandled"}'


class Verdict(NamedTuple):
    """A request to be kept, and the rule that says so; without a request, the lines before an error in a process."""

    request: bytes
    reason: str
    trace: str = ""


class Kept(NamedTuple):
    """The rule that kept a request, and since when."""

    reason: str
    since_s: float


class Verdicts:
    """The engine: `judge` lines; `kept` are the requests kept lately.

    `left_out` counts requests beyond the budget, `refused` headers without a valid signature. `durations` are the usual
    ones of each route.
    """

    def __init__(self, settings: Settings, durations: RouteDurations) -> None:
        self.left_out = self.refused = 0
        self.kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._settings = settings
        self._budget = float(settings.clips_per_minute)
        self._counted_at_s = machine.monotonic()
        slower = settings.clip_slower
        self.durations: RouteDurations = durations if slower.times else OrderedDict()
        self._looks_at_all = bool(settings.clip_baseline or slower.seconds or slower.times)

    def judge(self, service: str, line: bytes) -> Verdict | None:
        """Return the verdict that follows from a `TELLING` line; `None` without one, or if the request is kept already.

        Most lines are of successful requests.
        """
        at = level_at(line)
        if line.startswith(_SERVED, at):
            self.refused += _REFUSED in line
            if not (self._looks_at_all or line.startswith(_FAILED, at)):
                return None
        elif request_of(line) in self.kept:
            return None
        try:
            fields = orjson.loads(line)
            trace = str(fields.get("trace", {}).get("id", ""))
            if line.startswith(_ERRORS, at):
                verdict = self._decide(request_of(line), "exception" if _UNHANDLED in line else "error")
            else:
                verdict = self._judge_fields(service, fields)
        except (ValueError, KeyError, TypeError, AttributeError):  # damaged, or of another version
            return None
        return verdict and verdict._replace(trace=trace)

    def judge_end(self, event: EncodedEvent) -> Verdict | None:
        """Return the verdict that follows from an event at a segment's end: an aborted request is kept."""
        fields = orjson.loads(event.data)
        if fields["event"].get("action") != "request-aborted":
            return None
        try:
            request = fields["http"]["request"]["id"].encode()
        except (KeyError, TypeError, AttributeError):  # it has none, or its mark is damaged
            return None
        return self._decide(request, "aborted") if request else None

    def keep(self, request: bytes, reason: str) -> bool:
        """Keep a request regardless of the budget; return false if it is kept already."""
        is_new = request not in self.kept
        now_s = machine.monotonic()
        self.kept[request] = Kept(reason, now_s)
        self.kept.move_to_end(request)
        while len(self.kept) > MAX_KEPT or now_s - next(iter(self.kept.values())).since_s > self._settings.hold_s:
            self.kept.popitem(last=False)
        return is_new

    def _judge_fields(self, service: str, fields: dict[str, Any]) -> Verdict | None:
        request = fields["http"]["request"]["id"].encode()
        if "processor" not in fields:
            return self._decide(request, str(fields["event"].get("reason") or "kept by the code"))
        duration_ns = fields["event"]["duration"]
        is_slow = self._is_slow(f"{service} {fields['transaction'].get('name')}", duration_ns)
        if fields.get("log.level") == "error":
            status = fields["http"].get("response", {}).get("status_code", 0)
            return self._decide(request, "5xx" if status >= 500 else "failed")
        if is_slow:
            return self._decide(request, "slow")
        is_chosen = zlib.crc32(request) < self._settings.clip_baseline * (1 << 32)  # the same on every host
        return self._decide(request, "baseline") if is_chosen else None

    def _is_slow(self, route: str, duration_ns: int) -> bool:
        slower = self._settings.clip_slower
        if not slower.times:
            return bool(slower.seconds) and duration_ns > slower.seconds * 1e9
        known = self.durations.setdefault(route, Durations())
        self.durations.move_to_end(route)
        if len(self.durations) > MAX_ROUTES:
            self.durations.popitem(last=False)
        p99_ns = known.p99_ns()
        known.add(duration_ns)
        return 0 < p99_ns * slower.times < duration_ns

    def _decide(self, request: bytes, reason: str) -> Verdict | None:
        if request in self.kept:
            return None
        now_s = machine.monotonic()
        most = self._settings.clips_per_minute
        self._budget = min(float(most), self._budget + (now_s - self._counted_at_s) * most / 60)
        self._counted_at_s = now_s
        if self._budget < 1:
            self.left_out += 1
            return None
        self._budget -= 1
        if request:
            self.keep(request, reason)
        return Verdict(request, reason)
