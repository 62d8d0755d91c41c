"""Rules at work: what is found, what is sent, and what a restart does to it."""

from dashcam.find.language import parse
from dashcam.watch.rules import Notifier, Rule, Rules
from dashcam.watch.senders import NotSentError
from dashcam.watch.waiting import WatchedStore
from dashcam.watch.watcher import Watcher

from ..show import events
from ..show.shelf import Shelf
from ..show.test_comparison import moved

S, MINUTE = 10**9, 60 * 10**9
START = events.START_NS // (30 * S) * 30 * S


def rule(name="fails", query="outcome:failure route:/cars", figure="events", *, above=0.0, below=None, at_least=1):
    threshold = above if below is None else below
    return Rule(name, query, parse(query), figure, threshold, below is not None, 5 * MINUTE, at_least, ("hook",))


class World:
    """A store, a clock, and a receiver that may be down."""

    def __init__(self, folder, *rules, every_ns=30 * S):
        self.path = folder / "state.json"
        self.rules = Rules(every_ns, rules, {"hook": Notifier("hook", "webhook", ("http://x",))})
        self.shelf, self.waiting = Shelf([]), []
        self.now_ns = START
        self.down = False
        self.sent = []
        self.start()

    def start(self):
        store = WatchedStore(lambda: self.shelf, lambda since_ns: self.waiting)
        self.watcher = Watcher(self.rules, store, self.path, self._send, clock=lambda: self.now_ns)

    def _send(self, notifier, notice):
        if self.down:
            raise NotSentError("down")
        self.sent.append(notice)

    def run(self, minutes, *, restarts=False):
        until_ns = self.now_ns + minutes * MINUTE
        while self.now_ns < until_ns:
            if restarts:
                self.start()
            self.watcher.step()
            self.now_ns += 30 * S
        return [(notice.rule, notice.state) for notice in self.sent]


def failure(minutes):
    """One failed order, so many minutes after the start."""
    return moved(events.failed(), f"bad{minutes}", minutes)


def test_an_alert_begins_and_ends(tmp_path):
    """One notice for each, however long it lasts; the first brings the story."""
    world = World(tmp_path, rule())
    world.shelf.events += failure(3)

    assert world.run(20) == [("fails", "firing"), ("fails", "resolved")]
    firing, resolved = world.sent
    assert firing.stories == ("bad3",)
    assert "CheckViolation" in firing.story
    assert firing.text == "fails: events is 1, above 0, in the last 5m 00s"
    assert resolved.text == "fails: events is 0, no longer above 0, in the last 5m 00s"
    assert firing.id.split("-")[0] == resolved.id.split("-")[0]


def test_two_alerts_have_two_ids(tmp_path):
    """One that comes back is another one."""
    world = World(tmp_path, rule())
    world.shelf.events += failure(2) + failure(12)
    world.run(25)

    assert len({notice.id for notice in world.sent}) == 4


def test_silence_is_an_alert(tmp_path):
    """A dead man's switch ends when something comes again."""
    world = World(tmp_path, rule("silence", "service:cars", below=1.0))
    for minutes in (-1, 2, 12):
        world.shelf.events += moved(events.created(), f"order{minutes}", minutes)

    assert world.run(14) == [("silence", "firing"), ("silence", "resolved")]
    assert world.sent[0].stories == ()


def test_figures_are_those_of_requests(tmp_path):
    """A share and a percentile of too few are not judged."""
    rules = [
        rule("share", "service:cars", "failed_share", above=0.4),
        rule("few", "service:cars", "failed_share", above=0.4, at_least=3),
        rule("slow", "service:cars", "p95", above=42e6),
        rule("fast", "service:cars", "p95", above=43e6),
        rule("failures", "", "failures", above=1.0),
        rule("requests", "service:parts", "requests", above=1.0),
    ]
    world = World(tmp_path, *rules)
    world.shelf.events += moved(events.created(), "good", 1) + failure(1)

    assert {name for name, state in world.run(4) if state == "firing"} == {"share", "slow", "failures", "requests"}


def test_what_passed_while_nobody_watched_is_found(tmp_path):
    """An alert that began and ended meanwhile gives both notices."""
    world = World(tmp_path, rule())
    world.run(1)
    world.shelf.events += failure(30)
    world.now_ns += 120 * MINUTE
    world.start()

    assert world.run(1) == [("fails", "firing"), ("fails", "resolved")]


def test_a_notice_waits_for_its_receiver(tmp_path):
    """Over a restart, and is sent once when it can be."""
    world = World(tmp_path, rule())
    world.shelf.events += failure(1)
    world.down = True
    assert world.run(3) == []
    world.down = False

    assert world.run(1, restarts=True) == [("fails", "firing")]


def test_while_the_store_is_down_the_spool_is_looked_at(tmp_path):
    """The notice says so; when the store is back, with the same events, nothing is sent twice."""
    world = World(tmp_path, rule())
    world.shelf.broken = "connection refused"
    world.waiting = failure(1)
    assert world.run(3) == [("fails", "firing")]
    assert world.sent[0].story.startswith(
        "The store cannot be reached; these events are from the spool only: connection refused"
    )
    assert "CheckViolation" in world.sent[0].story

    world.shelf.broken = ""
    world.shelf.events += world.waiting
    assert world.run(10) == [("fails", "firing"), ("fails", "resolved")]


def test_an_event_in_both_counts_once(tmp_path):
    """In the store already, and still in the spool."""
    world = World(tmp_path, rule(above=1.0))
    world.shelf.events += failure(1)
    world.waiting = failure(1)

    assert world.run(4) == []


def test_a_damaged_state_is_reported(tmp_path, caplog):
    """And replaced."""
    (tmp_path / "state.json").write_text("{")
    world = World(tmp_path, rule())

    assert "cannot be read, so earlier alerts are unknown" in caplog.text
    world.shelf.events += failure(1)
    assert world.run(3) == [("fails", "firing")]


def test_a_notifier_that_is_gone_is_given_up(tmp_path, caplog):
    """Its notices would wait for ever."""
    world = World(tmp_path, rule())
    world.shelf.events += failure(1)
    world.down = True
    world.run(3)
    world.rules = Rules(world.rules.every_ns, (), {})
    world.start()
    world.run(1)

    assert "notify.hook no longer exists" in caplog.text
    assert '"unsent":[]' in world.path.read_text()
