"""List the requests that were kept lately: why, and what came with them.

With DASHCAM_SHIP_LEVEL, log lines below it are held on this machine. A request that failed, was slow, or was asked for
is kept: its held lines are shipped, as a clip. docs/clips.md has the rules. Totals follow the list: what the clips of
each rule brought, and what was not shipped. Exit status 1 when nothing was kept.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict

import orjson

from dashcam.cli import NOT_FOUND, OK
from dashcam.cli.quantities import count
from dashcam.destinations.registry import load_settings
from dashcam.ship.clips.clip_journal import RouteClips, load_clips


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("-n", "--limit", type=count, default=20, metavar="N", help="the newest N, 0 for all (20)")
    parser.add_argument("--json", action="store_true", help="print JSON Lines, a clip each")


def run(arguments: argparse.Namespace) -> int:
    """Print the clips of each route, oldest first."""
    settings = load_settings()
    has_any = False
    for route in settings.routes:
        known = load_clips(settings.dir, route)
        has_any = has_any or bool(known.clips)
        if arguments.json:
            for clip in known.clips.values():
                print(orjson.dumps({"route": route, "time": clip.time} | asdict(clip)).decode())
        else:
            for line in _lines(route, known, arguments.limit):
                print(line)
    return OK if has_any else NOT_FOUND


def _lines(route: str, known: RouteClips, limit: int) -> Iterator[str]:
    for clip in list(known.clips.values())[-limit:]:
        lost = f", incomplete: {clip.expired:,} expired" if clip.expired else ""
        yield f"{clip.time[:19].replace('T', ' ')}  {clip.reason:8}  {_size(clip.lines, clip.bytes)}  {clip.id}{lost}"
    by_rule: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for clip in known.clips.values():
        by_rule[clip.reason].append((clip.lines, clip.bytes))
    rules = "; ".join(
        f"{len(sizes):,} {reason} ({_size(*map(sum, zip(*sizes, strict=True)))})" for reason, sizes in by_rule.items()
    )
    yield f"{route}: kept {rules or 'nothing yet'}"
    totals, sent = known.totals, sum(clip.lines for clip in known.clips.values())
    if totals.held_lines:
        share = max(0.0, 1 - sent / totals.held_lines)
        yield f"  {_size(totals.held_lines, totals.held_bytes)} were held; {share:.1%} of the lines were not shipped"
    if totals.left_out:
        yield f"  {totals.left_out:,} requests were left out: DASHCAM_CLIP_LIMIT was reached"
    if totals.refused:
        yield f"  {totals.refused:,} requests had a header X-Dashcam-Keep that was refused"


def _size(lines: int, bytes_: int) -> str:
    return f"{lines:,} line{'s' * (lines != 1)}, {bytes_ / 1000:,.1f} kB"
