"""Spools for tests: lines, a writer of them, and all that can be read again."""

from dashcam.spool.reader import SegmentReader, segment_files
from dashcam.spool.segment import service_folder
from dashcam.spool.writer import Writer

SHARED = {"ecs.version": "8.17.0", "service": {"name": "cars"}, "process": {"pid": 4242}}
PLENTY = 1 << 30
SMALL = 16 << 10  # a segment of a few hundred short lines

_writers = []


def log_line(number, filling=""):
    """One log line, newline included; the same number gives the same one."""
    time = f"2026-11-24T01:35:{number // 1_000_000 % 60:02d}.{number % 1_000_000:06d}Z"
    text = '{"@timestamp":"%s","log.level":"info","message":"%d%s","event":{"kind":"event"}}\n'
    return (text % (time, number, filling)).encode()


def write_to(spool, service="cars", **options):
    """A writer of a service's segments below a folder."""
    options = {"limit_bytes": PLENTY, "segment_bytes": SMALL} | options
    shared = SHARED | {"service": {"name": service}}
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


def dropped(spool):
    """How many events all segments say were dropped, by reason."""
    total = {}
    for path in segment_files(spool):
        with SegmentReader(path) as reader:
            for reason, count in reader.header.dropped.items():
                total[reason] = total.get(reason, 0) + count
    return {reason: count for reason, count in total.items() if count}
