"""Spools for tests: lines, a writer of them, and all that can be read again."""

import re
from contextlib import suppress
from pathlib import Path

import orjson

from dashcam.spool.file import SegmentOptions
from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import service_folder
from dashcam.spool.writer import Writer

from ..processes import run, running

SHARED = {"ecs.version": "8.17.0", "service": {"name": "cars"}, "process": {"pid": 4242}}
PLENTY = 1 << 30
START_NS = 1795484100_000000000  # 2026-11-24T01:35:00Z
SMALL = 16 << 10  # a segment of a few hundred short lines

_writers = []


def log_line(number, filling=""):
    """One log line, newline included; the same number gives the same one."""
    text = '{"time_ns":%d,"log.level":"info","message":"%d%s","event":{"kind":"event"}}\n'
    return (text % (START_NS + number * 1000, number, filling)).encode()


def start_line(number, span):
    """The mark of a request that begins."""
    return _span_line(number, span, "start")


def span_line(number, span):
    """The span of a served request."""
    return _span_line(number, span, "transaction")


def _span_line(number, span, kind):
    fields = {
        "time_ns": START_NS + number * 1000,
        "processor": {"event": kind},
        "message": "POST /cars",
        "trace": {"id": f"t{span}"},
        "span": {"id": span},
        "transaction": {"id": span},
        "http": {"request": {"id": f"golf-{span}", "method": "POST"}, "route": "/cars"},
        "url": {"path": "/cars"},
        "event": {"kind": "event"},
    }
    return orjson.dumps(fields) + b"\n"


# What a writer's program begins with; it gets the spool as its first argument.
_PROLOGUE = """
import os, signal, sys, threading, time
import re
from contextlib import suppress
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.spool.spools import dropped, log_line, span_line, start_line, write_to
writer = write_to(Path(sys.argv[1]), limit_bytes=4 << 30)
"""


def run_writer(code, spool, run=run):
    """Run a program that has a `writer`; what it printed."""
    return run(_PROLOGUE + code, spool, Path.cwd())


def running_writer(code, spool):
    """A program that has a `writer` and runs meanwhile."""
    return running(_PROLOGUE + code, spool, Path.cwd())


def write_to(spool, service="cars", **options):
    """A writer of a service's segments below a folder."""
    segments = SegmentOptions(options.pop("segment_bytes", SMALL), options.pop("is_mapped", True))
    shared = SHARED | {"service": {"name": service}}
    options = {"limit_bytes": PLENTY, "options": segments} | options
    _writers.append(Writer(service_folder(spool, "here", service), lambda: shared, **options))
    return _writers[-1]


def close_writers():
    """Close what tests have opened."""
    while _writers:
        _writers.pop().close()


def read_segment(path, *, is_final=True):
    """All lines of a segment, and how many places of it were damaged."""
    with SegmentReader(path) as reader:
        passages = list(reader.passages(is_final=is_final))
    return [line for passage in passages for line, _ in passage.lines], sum(each.damaged for each in passages)


def read_spool(spool):
    """All lines of all segments as they were written, newline included, oldest segment first."""
    return [line + b"\n" for path in segment_files(spool) for line in read_segment(path)[0]]


def numbers_in(spool):
    """The numbers of all log lines, in their order; files that are not segments any more are left out."""
    lines = []
    for path in segment_files(spool):
        with suppress(ValueError):
            lines += read_segment(path)[0]
    return [int(re.search(rb'"message":"(\d+)', line)[1]) for line in lines if b'"log.level"' in line]


def ids_in(path):
    """The id of each line of a segment, by its offset; the numbers of `log_line` follow their order."""
    data = path.read_bytes()
    ends = [offset + 1 for offset, byte in enumerate(data) if byte == 10]
    return [f"{path.stem}-{offset:08d}" for offset in ends[:-1]]


def dropped(spool):
    """How many events all segments say were dropped, by reason."""
    total = {}
    for path in segment_files(spool):
        with SegmentReader(path) as reader:
            for reason, count in reader.header.dropped.items():
                total[reason] = total.get(reason, 0) + count
    return {reason: count for reason, count in total.items() if count}
