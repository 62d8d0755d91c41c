"""A route from the spool to its backend, with several batches under way, through faults, stops and restarts."""

import random
import threading
from collections import Counter

import pytest

from dashcam.errors import BackendUnavailable, BatchRejected
from dashcam.ship.batch import Limits, PartialResult
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.route import Route
from dashcam.ship.state import checkpoint
from dashcam.ship.state.checkpoint import Checkpoint, CheckpointFile
from dashcam.ship.state.dead_letters import DeadLetters
from dashcam.spool.reader import segment_files

from ..processes import until
from ..spool.spools import ids_in, log_line, run_writer, running_writer, write_to
from .played import Accepting, Played

SMALL = Limits(events=10, bytes=100_000)
SEVERAL = Limits(events=10, bytes=100_000, in_flight=4)


_files = []


@pytest.fixture(autouse=True)
def _files_are_closed():
    yield
    while _files:
        _files.pop().close()


def _route(folder, backend, stopping=None):
    progress = checkpoint.load(folder / "positions").get("played", Checkpoint())
    file = CheckpointFile(folder / "positions", "played", progress)
    file.rewrite()
    _files.append(file)
    return Route("played", backend, folder, file, stopping or threading.Event())


def _fill(folder, count):
    writer = write_to(folder / "spool")
    for number in range(count):
        writer.append(log_line(number))
    writer.close()
    return ids_in(segment_files(folder / "spool")[0])[0]


def _account(folder):
    account = collect_stats(folder)
    return account.recorded, account.routes["played"]


def test_a_drain_ships_what_there_is(tmp_path):
    """Then it ends, with the backend closed and everything accounted for."""
    _fill(tmp_path, 1000)
    backend = Accepting(lambda _: None, SMALL)

    _route(tmp_path, backend).run(is_drain=True)

    assert len(set(backend.accepted)) == len(backend.accepted) == 1000
    assert backend.is_closed
    recorded, share = _account(tmp_path)
    assert (recorded, share.delivered, share.waiting, share.dead) == (1000, 1000, 0, 0)


class Slow(Route):
    """Takes so long after it has asked for a batch that what is under way is answered meanwhile."""

    def _note_obstacles(self, obstacles):
        until(lambda: not self._under_way, "everything is answered")
        super()._note_obstacles(obstacles)


@pytest.mark.parametrize("limits", [SMALL, SEVERAL])
def test_a_drain_does_not_end_at_an_answer(tmp_path, limits):
    """While as many batches are under way as may be, none is asked for: that there is none does not mean it is over."""
    _fill(tmp_path, 100)
    backend = Accepting(lambda _: None, limits)
    route = _route(tmp_path, backend)
    route.__class__ = Slow

    route.run(is_drain=True)

    assert len(backend.accepted) == 100


def test_a_second_run_ships_only_what_is_new(tmp_path):
    """Also when nothing is."""
    _fill(tmp_path, 15)
    first, second, third = (Accepting(lambda _: None, SMALL) for _ in range(3))

    _route(tmp_path, first).run(is_drain=True)
    _route(tmp_path, second).run(is_drain=True)
    _fill(tmp_path, 5)
    _route(tmp_path, third).run(is_drain=True)

    assert (len(first.accepted), len(second.accepted), len(third.accepted)) == (15, 0, 5)


def test_damage_is_counted(tmp_path, caplog):
    """And told."""
    writer = write_to(tmp_path / "spool")
    for line in (log_line(1), b"{}\n", log_line(3)):
        writer.append(line)
    writer.close()

    _route(tmp_path, Played(limits=SMALL)).run(is_drain=True)

    _, share = _account(tmp_path)
    assert (share.delivered, share.damaged) == (2, 1)
    assert "1 damaged places" in caplog.text


def test_trouble_shows_while_it_lasts(tmp_path):
    """With the time it began; then it is gone."""
    _fill(tmp_path, 5)
    seen = []

    def look(_):
        share = collect_stats(tmp_path).routes.get("played")
        seen.append(share and share.trouble)
        return BackendUnavailable("down", 0.001) if len(seen) < 3 else None

    _route(tmp_path, Played(look, look, look, limits=SMALL)).run(is_drain=True)

    assert [trouble and trouble.reason for trouble in seen] == [None, "down", "down"]
    assert seen[1].since == seen[2].since
    assert _account(tmp_path)[1].trouble is None


def test_trouble_began_with_its_first_reason(tmp_path):
    """Another reason does not begin it anew."""
    _fill(tmp_path, 5)
    seen = []

    def look(_):
        share = collect_stats(tmp_path).routes.get("played")
        seen.append(share and share.trouble)
        reasons = ["down", "still down"]
        return BackendUnavailable(reasons[len(seen) - 1], 0.001) if len(seen) < 3 else None

    _route(tmp_path, Played(look, look, look, limits=SMALL)).run(is_drain=True)

    assert [trouble and trouble.reason for trouble in seen] == [None, "down", "still down"]
    assert seen[1].since == seen[2].since


def test_a_later_batch_alone_moves_no_position(tmp_path):
    """Batches answered out of order: the position waits for the first, then takes them all."""
    first_id = _fill(tmp_path, 40)
    answered, held = [], threading.Event()

    def hold_the_first(batch):
        if batch[0].id == first_id:
            held.wait(30)
        answered.append(len(batch))

    route = _route(tmp_path, Played(*[hold_the_first] * 4, limits=SEVERAL))
    thread = threading.Thread(target=route.run, kwargs={"is_drain": True})
    thread.start()
    try:
        until(lambda: len(answered) == 3, "three answers")
        until(lambda: checkpoint.load(tmp_path / "positions")["played"].delivered == 30, "three batches kept")
        kept = checkpoint.load(tmp_path / "positions")["played"]
        assert (kept.marks, [len(ahead) for ahead in kept.ahead.values()]) == ({}, [30])
    finally:
        held.set()
        thread.join()

    recorded, share = _account(tmp_path)
    assert (recorded, share.delivered, share.waiting) == (40, 40, 0)


def test_a_stop_between_batches_under_way(tmp_path):
    """What was answered ahead of its turn is not sent again, and each event is in the account once."""
    first_id = _fill(tmp_path, 40)
    stopping = threading.Event()
    others = threading.Barrier(3)

    def answer(batch):
        if batch[0].id == first_id:
            return BackendUnavailable("down", 1000)
        others.wait(30)
        stopping.set()
        return None

    first, second = Accepting(answer, SEVERAL), Accepting(lambda _: None, SEVERAL)
    _route(tmp_path, first, stopping).run()
    recorded, share = _account(tmp_path)
    assert (recorded, share.delivered, share.waiting) == (40, 30, 10)

    _route(tmp_path, second).run(is_drain=True)
    assert len(second.accepted) == 10
    assert sorted(first.accepted + second.accepted) == sorted(set(first.accepted + second.accepted))
    assert _account(tmp_path)[1].delivered == 40


def test_a_stop_comes_soon(tmp_path):
    """A route that has nothing to do ends at once, its backend closed."""
    stopping = threading.Event()
    backend = Played(limits=SMALL)
    route = _route(tmp_path, backend, stopping)
    thread = threading.Thread(target=route.run)
    thread.start()

    stopping.set()
    thread.join(5)

    assert not thread.is_alive()
    assert backend.is_closed


def _at_random(dice):
    def decide(batch):
        match dice.choice(["take", "take", "take", "down", "refuse", "some"]):
            case "down":
                return BackendUnavailable("down", 0.001)
            case "refuse":
                return BatchRejected("odd")
            case "some":
                return PartialResult([place for place in range(len(batch)) if dice.random() < 0.1])
        return None

    return decide


LOAD = """
for number in range(1500):
    writer.append(log_line(number))
    if number % 50 == 0:
        time.sleep(0.002)  # so that the route reads and sends while lines are added
print("done", flush=True)
input()
"""


@pytest.mark.parametrize("in_flight", [1, 4])
def test_the_account_holds_at_every_moment(tmp_path, in_flight):
    """While a process records, and a backend takes, refuses and fails at random; at the end all is there, once."""
    backend = Accepting(_at_random(random.Random(in_flight)), Limits(50, 100_000, in_flight))
    stopping = threading.Event()
    thread = threading.Thread(target=_route(tmp_path, backend, stopping).run)
    with running_writer(LOAD, tmp_path / "spool") as process:
        until(lambda: collect_stats(tmp_path).recorded, "first event")
        thread.start()
        try:
            until(lambda: collect_stats(tmp_path).routes, "first position")
            looks = 0
            while (account := collect_stats(tmp_path)).routes["played"].waiting or account.recorded < 1500:
                share = account.routes["played"]
                assert account.recorded == share.delivered + share.waiting + share.dead
                looks += 1
        finally:
            stopping.set()
            thread.join()
        process.stdin.write("\n")
        process.stdin.close()
        process.wait(60)

    buried = [letter.event.id for letter in DeadLetters(tmp_path / "dead-letters", "played").read()]
    share = account.routes["played"]
    assert looks > 3
    assert len(buried) == share.dead
    assert Counter(backend.accepted + buried).most_common(1)[0][1] == 1
    assert len(backend.accepted + buried) == 1500


def test_a_process_that_was_killed(tmp_path):
    """Its lines and what it left open arrive, once, also from a second run."""
    code = "writer.append(start_line(1, 'a'))\nwriter.append(log_line(2))\nos.kill(os.getpid(), 9)"
    with pytest.raises(AssertionError):
        run_writer(code, tmp_path / "spool")
    backend = Accepting(lambda _: None, Limits(1, 100_000))

    _route(tmp_path, backend).run(is_drain=True)
    _route(tmp_path, backend).run(is_drain=True)

    (path,) = segment_files(tmp_path / "spool")
    start_id, log_id = ids_in(path)
    assert backend.accepted == [log_id, start_id.replace("-", "-aborted-")]
