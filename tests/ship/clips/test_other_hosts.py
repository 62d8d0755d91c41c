"""Two hosts, one request: what one of them keeps, the other ships too."""

import threading

from dashcam.errors import StoreUnreachable
from dashcam.ship.clips.other_hosts import Search, follow_verdicts
from dashcam.ship.inspection.stats import collect_stats

from ...processes import until
from ...spool.spools import write_to
from .clip_lines import call_line, holding_route, served_line
from .test_collector import Kept


def _reports(*backends):
    """What hosts say in a store that all of them ship to."""
    for event in [event for backend in backends for event in backend.events]:
        if event["event"].get("action") == "request-kept":
            yield event["http"]["request"]["id"], event["event"]["reason"]


def _calls(backend):
    return [event for event in backend.events if event.get("log", {}).get("logger") == "cars"]


def test_a_verdict_goes_to_the_other_host(tmp_path):
    """Its lines come with the reason, those of other requests stay; a store that fails meanwhile is asked again."""
    cars, parts = write_to(tmp_path / "a" / "spool", "cars"), write_to(tmp_path / "b" / "spool", "parts")
    for number in range(3):
        parts.append(call_line(number, "debug", f"golf-{number}"))
        parts.append(served_line(number, f"golf-{number}", 200))
    first, second = Kept(), Kept()
    is_over, asked = threading.Event(), []

    def kept(since_ns):
        asked.append(since_ns)
        if len(asked) == 1:
            raise StoreUnreachable("down")
        return _reports(first, second)

    with holding_route(tmp_path / "a", first) as here, holding_route(tmp_path / "b", second) as there:
        threads = [threading.Thread(target=route.run) for route in (here, there)]
        threads.append(threading.Thread(target=follow_verdicts, args=(Search(kept, 0.05), there._clips, 600, is_over)))
        for thread in threads:
            thread.start()
        until(lambda: collect_stats(tmp_path / "b").routes["played"].held == 3, "held lines")
        cars.append(served_line(5, "golf-1", 503))
        until(lambda: _calls(second), "the other host's lines")
        parts.append(call_line(9, "debug", "golf-1", "afterwards"))
        until(lambda: len(_calls(second)) == 2, "later lines")
        until(lambda: len(asked) > 2, "the next question")
        is_over.set()
        for route in (here, there):
            route._stopping.set()
        for thread in threads:
            thread.join()

    assert [(event["message"], event["event"]["reason"]) for event in _calls(second)] == [
        ("1", "5xx"),
        ("afterwards", "5xx"),
    ]
    assert asked[1] == asked[0]  # what was not answered is asked for again
    assert asked[2] > asked[1]
    assert list(_reports(second)) == []  # whoever hears of it does not report it again
