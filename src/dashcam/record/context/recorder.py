"""The recorder of this process, one for each service: where lines go, and from which level on."""

import logging
import platform
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from opentelemetry.context import get_value

from dashcam.record.context import correlation
from dashcam.record.context.correlation import SERVICE
from dashcam.record.context.service import Service, common_fields
from dashcam.record.values.interruption import is_interruption
from dashcam.settings import RecordSettings
from dashcam.spool.segment import service_folder
from dashcam.spool.writer import Writer

OFF = logging.CRITICAL + 1


class Console(Protocol):
    """Prints the log calls that no handler takes."""

    def write(self, record: logging.LogRecord, fields: dict[str, Any] | None) -> None:
        """Print one log call; never raises."""


class Recorder:
    """Keeps lines in the spool of one service; `append` takes a line as bytes, newline included."""

    def __init__(self, service: Service, settings: RecordSettings, console: Console | None = None) -> None:
        self.service = service
        self.console = console
        numbers = logging.getLevelNamesMapping()
        self.levels = {name: numbers[level] for name, level in settings.levels}
        self.level: int = numbers[settings.level]
        self.min_level: int = min([self.level, *self.levels.values()])
        host = platform.node() or "localhost"
        self.spool = Writer(
            service_folder(settings.dir / "spool", host, service.name),
            lambda: common_fields(service),
            settings.spool_limit_bytes,
            lambda: correlation.open_requests(lambda owner: current(owner) is self),
        )
        self.append = self.spool.append

    def level_of(self, logger: str) -> int:
        """Return the lowest level that is recorded of a logger: its own, or that of the nearest one above it."""
        while logger:
            if logger in self.levels:
                return self.levels[logger]
            logger = logger.rpartition(".")[0]
        return self.level


class _NullRecorder:
    """The recorder before `init` and after `stop`: it keeps nothing."""

    min_level = level = OFF
    levels: Mapping[str, int] = MappingProxyType({})
    console = None

    def level_of(self, logger: str) -> int:  # noqa: ARG002 — the same for all
        """Return the level above all levels."""
        return OFF

    def append(self, line: bytes) -> None:
        """Discard the line."""


AnyRecorder = Recorder | _NullRecorder
_current: AnyRecorder = _NullRecorder()
_others: dict[object, Recorder] = {}  # of applications beside the first one, each with a service of its own


def current(service: Service | None = None) -> AnyRecorder:
    """Return the recorder of this process; where applications have services of their own, that of the request's."""
    if _others:
        return _others.get(service or get_value(SERVICE), _current)
    return _current


def running() -> list[Recorder]:
    """Return the recorders of this process, the first one first; one for each service."""
    return [each for each in (_current, *_others.values()) if isinstance(each, Recorder)]


def start(recorder: Recorder) -> None:
    """Make `recorder` the recorder of this process, and seal all former ones."""
    _replace(recorder)


def add(recorder: Recorder) -> None:
    """Record a further service: what belongs to requests that are served for it."""
    _others[recorder.service] = recorder


def stop() -> None:
    """Stop recording, and seal what was recorded."""
    _replace(_NullRecorder())


def _replace(recorder: AnyRecorder) -> None:
    global _current
    former, _current = running(), recorder
    _others.clear()
    for each in former:
        each.spool.close()


def give_up(error: BaseException | None = None) -> None:
    """Count an event whose recording has failed, where that is handled; what a signal handler raised goes on."""
    error = error or sys.exception()
    if error is not None and is_interruption(error):
        raise error
    drop("error")


def drop(reason: str) -> None:
    """Count an event that could not be recorded."""
    if isinstance(recorder := current(), Recorder):
        recorder.spool.drop(reason)
