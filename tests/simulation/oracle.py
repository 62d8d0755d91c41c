"""The oracle: it sees what is recorded and what comes out, and knows three sentences.

- Conservation: every event whose log call returned is delivered, a dead letter, or dropped and counted, once.
- No invention: nothing comes out that was not recorded, under one ID, with its own content.
- Liveness: after the last fault all is delivered within a bound (`World` asks `waiting` for that).

Only what a power cut may take is excused: a line that no sync had brought to the disk, or a count.
"""

from contextlib import closing, contextmanager
from functools import lru_cache

import orjson

from dashcam.destinations.local.search.store import LocalStore
from dashcam.find.query import Query
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.state.dead_letters import REPLAYING, DeadLetters, _read, names_in
from dashcam.spool.line import is_line, is_start

NEVER = -1
GRACE_NS = 50_000_000  # what was acknowledged longer before a kill is not sent again


class Oracle:
    """What is known of one run."""

    def __init__(self, world):
        self.cuts = 0
        self.lines = 0
        self._world = world
        self._called = set()  # names of events whose log call began
        self._returned = set()  # and of those whose call returned
        self._dropped = set()
        self._volatile = set()  # what a power cut may have taken
        self._names = {}  # of all events that were sent, by ID
        self._recording = {}
        self._kills_ns = []
        self._excused_ns = NEVER
        self._wrong = []
        self._is_seal_certain = True
        self._is_disturbed = False  # a count may have been lost with a process, or on a disk that failed

    # What the world tells.

    @contextmanager
    def recording(self, name):
        """A log call begins, and returns unless its process is killed."""
        task = self._world.machine.current
        self._recording[task] = name
        self._called.add(name)
        self.lines += 1
        yield
        del self._recording[task]
        self._returned.add(name)

    def dropped(self):
        """The event that is being recorded is dropped."""
        self._dropped.add(self._recording[self._world.machine.current])

    def killed(self):
        """A process was killed now."""
        self._kills_ns.append(self._world.machine.now_ns)
        self._is_disturbed = True

    def excused(self):
        """A fault of the disk, a switch or a replay: what was acknowledged before may be sent again."""
        self._excused_ns = self._world.machine.now_ns
        self._is_disturbed = True

    def seal_has_failed(self):
        """A service could not write to its segment: without its seal it looks like that of a process that died."""
        self._is_seal_certain = False

    def sent(self, destination, batch):
        """A batch arrives; nothing of it may have been acknowledged long ago."""
        for event in batch:
            if event.id not in self._names:
                self._names[event.id] = name_of(event.data)
            answered_ns = destination.answered.get(event.id, NEVER)
            if answered_ns > self._excused_ns and not self._is_replay():
                is_soon_killed = any(answered_ns <= kill_ns <= answered_ns + GRACE_NS for kill_ns in self._kills_ns)
                if not is_soon_killed:  # not raised here: the shipper would take it for a fault of the backend
                    self._wrong.append(f"{event.id} was acknowledged at {answered_ns} ns, and is sent again")

    def found(self, what):
        """Something is wrong, which the run must not go on to hide."""
        self._wrong.append(what)

    def answered(self, destination, events):
        """The shipper was told that these are delivered."""
        for event in events:
            if self._is_replay():  # a letter may also be sent by a shipper whose checkpoint a power cut took
                destination.answered.setdefault(event.id, NEVER)
            else:
                destination.answered[event.id] = self._world.machine.now_ns

    def _is_replay(self):
        return self._world.machine.current.process.name == "replay"

    def power_is_lost(self):
        """Only what was synced, or is delivered, is certain from here on."""
        self.cuts += 1
        self.excused()
        safe = set()
        for path in self._world.disk.files():
            if path.suffix == ".segment":
                safe |= _names_in(self._world.disk.synced_content(path))
        answered = {self._names[id_] for each in self._world.destinations.values() for id_ in each.answered}
        self._volatile |= self._called - safe - answered

    # What it asks.

    def waiting(self):
        """Say what is not delivered yet; nothing when all is."""
        stats = collect_stats(self._world.folder)
        waiting = {
            name: stats.routes[name].waiting if name in stats.routes else "not begun" for name in self._world.routes
        }
        return {name: count for name, count in waiting.items() if count}

    def judge(self):
        """Hold what came out against what went in."""
        assert not self._wrong, self._wrong[:3]
        found = self._found()
        names = {}
        for id_, data in found:
            name = name_of(data)
            if name is not None:
                assert names.setdefault(name, id_) == id_, f"{name} has the IDs {names[name]} and {id_}"
        assert names.keys() <= self._called, f"invented: {names.keys() - self._called}"
        twice = names.keys() & self._dropped
        assert not twice, f"counted as dropped, and delivered: {sorted(map(str, twice))[:9]}"
        lost = self._returned - names.keys() - self._dropped - self._volatile
        assert not lost, f"lost: {sorted(map(str, lost))[:9]}"
        self._judge_requests(found)
        self._judge_account(found)

    def _found(self):
        """Return the ID and the data of all that came out, dead letters too."""
        world = self._world
        letters = world.folder / "dead-letters"
        found = [item for each in world.destinations.values() for item in each.accepted.items()]
        for name in names_in(letters):
            kept = DeadLetters(letters, name)
            # A replay that was killed leaves the letters beside; the next one goes on with them.
            found += [
                (each.event.id, each.event.data)
                for each in (*kept.read(), *_read(kept.path.with_suffix(REPLAYING)).values())
            ]
        for each in world.destinations.values():
            gone = each.answered.keys() - each.accepted.keys() if each.name != "local" else ()
            assert not gone, f"{each.name} never had what it answered for: {sorted(gone)[:9]}"
        local, path = set(), world.folder / "events.db"
        if path.exists():
            with closing(LocalStore(path)) as store:
                for event in store.find(Query()):
                    found.append((event.get("event.id"), orjson.dumps(event.fields)))
                    local.add(event.get("event.id"))
        gone = world.destinations["local"].answered.keys() - local
        assert not gone, f"the local store has lost {sorted(gone)[:9]}"
        return found

    def _judge_requests(self, found):
        """No request that is known to have ended may be called aborted."""
        for _, data in found if self._is_seal_certain else ():
            fields = orjson.loads(data)
            if fields["event"].get("action") == "request-aborted":
                span = fields["span"]["id"]
                assert span not in self._returned - self._dropped - self._volatile, f"{span} is called aborted"

    def _judge_account(self, found):
        stats = collect_stats(self._world.folder)
        for name in self._world.routes:
            share = stats.routes[name]
            told = f"{name}: {share} of {stats.recorded}"
            assert stats.recorded == share.earlier + share.delivered + share.dead + share.missing, told
            assert self.cuts or not share.missing, told
        counted = sum(stats.dropped.values())
        assert counted <= len(self._dropped), f"{counted} drops are counted of {len(self._dropped)}"
        if not self._is_disturbed:
            ids = {id_ for id_, _ in found}
            assert counted == len(self._dropped), f"{counted} drops are counted of {len(self._dropped)}"
            assert stats.recorded == len(ids), f"{stats.recorded} are recorded, {len(ids)} came out"


def name_of(data):
    """Return what the oracle calls an event: a line's number, a request's span; `None` if the shipper derived it."""
    fields = orjson.loads(data)
    if "action" in fields["event"]:
        return None
    text = fields["message"].rstrip("x")
    return int(text) if text.isdecimal() else fields["span"]["id"]


@lru_cache(maxsize=256)
def _names_in(content):
    """Return the names of the events whose whole lines stand in a segment."""
    return {name_of(line) for line in content.split(b"\n")[1:-1] if is_line(line) and not is_start(line)}
