"""The fixtures of the pytest plugin, and what a test can ask of a recording."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashcam.event import Event
from dashcam.find.query import Query
from dashcam.find.related import find_related_events
from dashcam.record.context import recorder
from dashcam.record.context.recorder import Recorder
from dashcam.record.context.service import Service
from dashcam.settings import RecordSettings, load_or_default
from dashcam.ship.selection import shipped_events
from dashcam.show import accessors
from dashcam.show.ansi import Style
from dashcam.show.story import Story, build_story
from dashcam.show.terminal import draw
from dashcam.spool.reader import SegmentReader, segment_files

if TYPE_CHECKING:
    from dashcam.testing.fake_loggly import StandIn


class Recording:
    """The events since the test began, of this process and of those that were started with `environment`.

    >>> answer = client.get("/cars", headers={"X-Request-ID": "golf-1"})
    >>> story = recording.assert_one_story("golf-1", services=["garage"])
    >>> [event.get("message") for event in recording.events() if event.is_span]
    ['GET /cars']
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Recording {self.folder}>"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for another process that the recording should include."""
        return os.environ | {"DASHCAM_DIR": str(self.folder)}

    def events(self) -> list[Event]:
        """All events until now, oldest first, with one for each request that was aborted because its process died."""
        _seal_own_segment()
        found: list[Event] = []
        for path in segment_files(self.folder / "spool"):
            with SegmentReader(path) as reader:
                found += shipped_events(reader)
        return sorted(found, key=lambda event: (event.time_ns, event.id))

    def shipped(self, level: str = "INFO", **settings: str) -> list[Event]:
        """All events that a shipper with this `DASHCAM_SHIP_LEVEL` would have sent until now, oldest first.

        `settings` are other settings of the shipper, such as `DASHCAM_CLIP_SLOWER="2s"`. Lines of a clip have the rule
        as `event.reason`.

            recording.shipped()  # the DEBUG lines of requests that failed, and of no other
        """
        from dashcam.testing.shipped import ship_copy

        _seal_own_segment()
        return ship_copy(self.folder / "spool", {"DASHCAM_SHIP_LEVEL": level, **settings})

    def story(self, any_id: str) -> Story:
        """The story of a request, by any ID; raises `LookupError` if no event has it."""
        events = find_related_events(_Events(self.events()), any_id)
        if not events:
            raise LookupError(f"no recorded event has the ID {any_id!r}")
        return build_story(events)

    def assert_one_story(self, request_id: str, services: Collection[str] = ()) -> Story:
        """Assert that a request is one story: one request ID, one trace, one beginning, nothing missing or aborted.

        With `services`, also assert that exactly these served a part of it. Their processes must not have recorded a
        line without a request ID meanwhile, because it would be in no story. Return the story; a failure prints it.
        """
        __tracebackhide__ = True
        story = self.story(request_id)
        served = set(map(accessors.service, _served(story)))
        faults = [
            *_faults_of(story),
            *(f"{service} served no part of it" for service in services if service not in served),
            *(f"{service} served a part of it too" for service in served - set(services or served)),
            *self._strays(story),
        ]
        if faults:
            drawn = "\n".join(draw(story, Style(width=None, colour=False, ascii_only=False)))
            pytest.fail(
                "request " + request_id + " is not one story: " + "; ".join(faults) + "\n\n" + drawn, pytrace=False
            )
        return story

    def _strays(self, story: Story) -> list[str]:
        end_ns = story.start_ns + story.duration_ns
        processes = {_process_of(event) for event in _served(story)}
        return [
            f"{accessors.service(event)} recorded {event.get('message')!r} outside of any request"
            for event in self.events()
            if not event.get("http.request.id")
            and story.start_ns <= event.time_ns <= end_ns
            and _process_of(event) in processes
        ]


def _served(story: Story) -> list[Event]:
    return [entry.event for entry in story.entries if entry.event and accessors.is_served(entry.event)]


def _process_of(event: Event) -> tuple[str, int]:
    return event.get("host.name"), event.get("process.pid")


def _faults_of(story: Story) -> Iterator[str]:
    for ids, name in ((story.request_ids, "request IDs"), (story.trace_ids, "traces")):
        if len(ids) != 1:
            yield f"it has {len(ids)} {name}: {', '.join(ids) or 'none'}"
    tops = [entry for entry in story.entries if entry.parent is None]
    if len(tops) != 1:
        yield f"it has {len(tops)} beginnings: " + ", ".join(f"{top.service} {top.title}" for top in tops)
    for entry in story.entries:
        if entry.state not in {"line", "finished"}:
            yield f"a span of {entry.service or 'an unknown service'} is {entry.state}: {entry.title}"


class _Events:
    """Events in memory, found like those of any store."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def find(self, query: Query) -> Iterator[Event]:
        """The events of a query, oldest first; the last of them with a limit."""
        hits = [event for event in self._events if query.expression.matches(event)]
        return iter(hits[-query.limit :] if query.limit else hits)

    def close(self) -> None:
        """Nothing to give back."""


def _seal_own_segment() -> None:
    # A process that closes a file it holds a lock on loses the lock: its own segment is read only when it is sealed.
    for own in recorder.running():
        own.spool.close()


_services: list[Service] = []  # of applications that outlive a test


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """Records what the test's application does, in a folder of its own.

    >>> dashcam.get_logger("garage").info("7 cars")
    >>> recording.events()[-1].get("message")
    '7 cars'
    """
    global _services
    folder = tmp_path / "dashcam"
    monkeypatch.setenv("DASHCAM_DIR", str(folder))
    former = recorder.running()
    settings, _ = load_or_default(RecordSettings)
    _restart([Recorder(service, settings) for service in [each.service for each in former] or _services])
    yield Recording(folder)
    _services = [each.service for each in recorder.running()]
    recorder.stop()
    _restart(former)


def _restart(recorders: list[Recorder]) -> None:
    for each in recorders[:1]:
        recorder.start(each)
    for each in recorders[1:]:
        recorder.add(each)


@pytest.fixture
def loggly_stand_in() -> "Iterator[StandIn]":
    """A stand-in for Loggly that runs during the test.

    >>> loggly_stand_in.environment()["LOG_BACKEND"]
    'loggly'
    >>> loggly_stand_in.lines()
    []
    """
    from dashcam.testing.fake_loggly import StandIn

    with StandIn() as stand_in:
        yield stand_in
