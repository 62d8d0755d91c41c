"""Looks at rules over and over, and sends a notice when an alert begins or ends.

Each rule is looked at on multiples of `every`, those that passed while nobody watched included. A change is written to
the state file together with the notices that it calls for, then these are sent, and each that was sent is struck out.
So after a kill at any point nothing is missed. What was sent but not yet struck out is sent again under the same ID:
that is all that "once" can mean where the other side may have got a message whose answer was lost.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dashcam.event import NS_PER_S
from dashcam.find.related import find_related_events
from dashcam.record.masking.mask import mask_event
from dashcam.ship.state.journal import replace_file
from dashcam.show.ansi import Style
from dashcam.show.recent import story_id
from dashcam.show.story import build_story
from dashcam.show.terminal import draw
from dashcam.watch.measure import Measured, measure
from dashcam.watch.notice import FIRING, RESOLVED, Change, Notice, make_notice
from dashcam.watch.rules import Notifier, Rule, Rules
from dashcam.watch.senders import NotSentError
from dashcam.watch.waiting import WatchedStore

MAX_CATCH_UP_NS = 24 * 3600 * NS_PER_S  # that nobody watched; what lies before is not looked at any more
MAX_UNSENT_NS = 24 * 3600 * NS_PER_S  # then a notice is given up
MAX_STORIES = 3

_log = logging.getLogger("dashcam.ship")


@dataclass(slots=True)
class Watched:
    """The state of a rule: the moment up to which it was looked at, and when its alert began; 0 while there is none."""

    looked_ns: int = 0
    began_ns: int = 0


@dataclass(slots=True)
class Unsent:
    """A notice that waits for one notifier."""

    notifier: str
    notice: dict[str, Any]
    since_ns: int


@dataclass(slots=True)
class State:
    """The state that a file keeps between two runs."""

    rules: dict[str, Watched] = field(default_factory=dict)
    unsent: list[Unsent] = field(default_factory=list)


def load_state(path: Path) -> State:
    """Return the state of a file; a new one where there is none, or none that can be read."""
    try:
        content = orjson.loads(path.read_bytes())
        rules = {name: Watched(**one) for name, one in content["rules"].items()}
        return State(rules, [Unsent(**one) for one in content["unsent"]])
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        _log.error("%s cannot be read, so earlier alerts are unknown: %s", path, fault)
        return State()


class Watcher:
    """Rules at work, with their state in a file. `step` is to be called again and again, by one thread."""

    def __init__(
        self,
        rules: Rules,
        store: WatchedStore,
        path: Path,
        send: Callable[[Notifier, Notice], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._rules = rules
        self._store = store
        self._path = path
        self._send = send
        self._clock = clock
        self._state = load_state(path)

    def step(self) -> None:
        """Look at each rule as often as is due, then send what is to be sent."""
        now_ns = self._clock()
        has_changed = False
        for rule in self._rules.rules:
            has_changed |= self._look(rule, now_ns)
        if has_changed:
            self._save()
        for unsent in list(self._state.unsent):
            if self._is_settled(unsent, now_ns):
                self._state.unsent.remove(unsent)
                self._save()

    def _look(self, rule: Rule, now_ns: int) -> bool:
        """Look at a rule; return whether its state is another one."""
        every_ns = self._rules.every_ns
        last_ns = now_ns // every_ns * every_ns
        watched = self._state.rules.setdefault(rule.name, Watched(last_ns - every_ns))
        first_ns = max(watched.looked_ns + every_ns, last_ns - MAX_CATCH_UP_NS // every_ns * every_ns)
        if first_ns > last_ns:
            return False
        measured = measure(self._store, rule, first_ns, last_ns)
        for moment_ns in range(first_ns, last_ns + 1, every_ns):
            value = measured.value_at(moment_ns)
            if rule.is_met(value) != bool(watched.began_ns):
                state = RESOLVED if watched.began_ns else FIRING
                change = Change(rule, state, watched.began_ns or moment_ns, moment_ns, value)
                stories, story = self._stories(measured, moment_ns) if state == FIRING else ([], "")
                notice = make_notice(change, stories, story)
                _log.warning("%s", notice.text)
                self._state.unsent += [Unsent(name, asdict(notice), self._clock()) for name in rule.notify]
                watched.began_ns = 0 if watched.began_ns else moment_ns
        watched.looked_ns = last_ns
        return True

    def _stories(self, measured: Measured, moment_ns: int) -> tuple[list[str], str]:
        """Return the newest stories of a window, and the newest of them drawn."""
        newest = reversed(measured.events_at(moment_ns))
        ids = list(dict.fromkeys(story_id(event) for event in newest))[:MAX_STORIES]
        trouble = [f"The store cannot be reached; these events are from the spool only: {self._store.trouble}"]
        lines = trouble if self._store.trouble else []
        if ids:
            events = find_related_events(self._store, ids[0])
            lines = [*lines, *draw(build_story(map(mask_event, events)), Style(width=100, ascii_only=True))]
        return ids, "\n".join(lines)

    def _is_settled(self, unsent: Unsent, now_ns: int) -> bool:
        notice = Notice(**(unsent.notice | {"stories": tuple(unsent.notice["stories"])}))
        notifier = self._rules.notifiers.get(unsent.notifier)
        if notifier is None:
            _log.error("notice %s is discarded: notify.%s no longer exists", notice.id, unsent.notifier)
            return True
        try:
            self._send(notifier, notice)
        except NotSentError as fault:
            _log.warning("notice %s is sent again: %s", notice.id, fault)
            if now_ns - unsent.since_ns < MAX_UNSENT_NS:
                return False
            _log.error("notice %s is discarded after a day: %s", notice.id, fault)
        return True

    def _save(self) -> None:
        try:
            replace_file(self._path, orjson.dumps(asdict(self._state)))
        except OSError as fault:
            _log.error("%s cannot be written: after a restart a notice may be sent twice: %s", self._path, fault)
