"""Clocks that disagree: hosts whose spans lie outside the calls that caused them, set right and named.

A request is served while its caller waits for it. Where the times say otherwise and come from two clocks, the called
one is set right by the least its calls allow, halved between both bounds, which is the best guess without a
measurement (the way between two hosts takes as long there as back).
"""

from collections.abc import Iterable, Sequence

from dashcam.show import accessors
from dashcam.show.accessors import format_duration
from dashcam.show.node import LINE, Node, Note

TOLERANCE_NS = 1_000_000  # hosts kept by NTP agree to about a millisecond; less is no skew worth a word

Calls = dict[str, list[tuple[Node, Node]]]


def align(nodes: Sequence[Node]) -> list[Note]:
    """Set the times of every clock right against its callers' clocks; the notes name each that was."""
    calls: Calls = {}
    for node in nodes:
        caller = node.parent
        if node.is_served and caller is not None and caller.clock != node.clock and _is_timed(caller, node):
            calls.setdefault(node.clock, []).append((caller, node))
    shifts = _shifts(nodes, calls)
    for node in nodes:
        shift_ns = shifts.get(node.clock, 0)
        node.shift_ns = shift_ns
        if node.start_ns is not None and node.end_ns is not None:
            node.start_ns += shift_ns
            node.end_ns += shift_ns
    for node in nodes:
        _note_lateness(node)
    return [_name(clock, shift_ns) for clock, shift_ns in shifts.items() if shift_ns]


def _is_timed(*nodes: Node) -> bool:
    return all(node.event is not None and node.clock and node.end_ns is not None for node in nodes)


def _shifts(nodes: Iterable[Node], calls: Calls) -> dict[str, int]:
    # From the clocks nobody calls outwards, so that a caller's clock is right before those it calls.
    called_from: dict[str, list[str]] = {}
    for clock, between in calls.items():
        for caller, _ in between:
            called_from.setdefault(caller.clock, []).append(clock)
    clocks = dict.fromkeys(node.clock for node in nodes)
    shifts: dict[str, int] = {}
    for start in [*(clock for clock in clocks if clock not in calls), *clocks]:
        waiting = [start]
        for clock in waiting:
            if clock not in shifts:
                shifts[clock] = _measure(calls.get(clock, ()), shifts)
                waiting += called_from.get(clock, ())
    return shifts


def _measure(calls: Iterable[tuple[Node, Node]], shifts: dict[str, int]) -> int:
    bounds = [_bounds(caller, called, shifts[caller.clock]) for caller, called in calls if caller.clock in shifts]
    if not bounds:
        return 0
    least, most = max(low for low, _ in bounds), min(high for _, high in bounds)
    if least <= TOLERANCE_NS and most >= -TOLERANCE_NS:
        return 0
    return (least + most) // 2 if least <= most else least


def _bounds(caller: Node, called: Node, shift_ns: int) -> tuple[int, int]:
    # Who gave up waiting, or waited for less than the request took, says nothing about when the request ended.
    starts, ends = (caller.start_ns or 0) + shift_ns, (caller.end_ns or 0) + shift_ns
    start, end = called.start_ns or 0, called.end_ns or 0
    event = caller.event
    got_answer = event is not None and (
        not accessors.is_error(event) or bool(accessors.number(event, "http.response.status_code"))
    )
    waited = got_answer and end - start <= ends - starts
    return starts - start, ends - (end if waited else start)


def _note_lateness(node: Node) -> None:
    caller = node.parent
    if node.state == LINE or caller is None or not _is_timed(caller, node):
        return
    early_ns = (caller.start_ns or 0) - (node.start_ns or 0)
    late_ns = (node.end_ns or 0) - (caller.end_ns or 0)
    if early_ns > TOLERANCE_NS:
        node.note("early-start", f"it began {format_duration(early_ns)} before its parent span")
    if late_ns > TOLERANCE_NS and node.is_served:
        node.note("outlived-caller", f"it continued for {format_duration(late_ns)} after its caller stopped waiting")


def _name(clock: str, shift_ns: int) -> Note:
    off, shown = ("behind", "later") if shift_ns > 0 else ("ahead of", "earlier")
    by = format_duration(abs(shift_ns))
    return Note("clock-skew", f"the clock of {clock} is {by} {off} its callers': its times are shown {by} {shown}")
