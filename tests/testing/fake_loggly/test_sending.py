"""What Loggly documents of sending, held against the stand-in."""

import pytest
import requests

from dashcam.testing.fake_loggly import Behaviour, StandIn


def test_bulk_takes_one_event_a_line(client):
    """Three lines are three events, and the answer is the documented one."""
    answer = client.send(b"one", b"two", b"three")

    assert (answer.status_code, answer.json()) == (200, {"response": "ok"})
    assert client.stand_in.lines() == [b"one", b"two", b"three"]


def test_inputs_takes_a_body_as_one_event(client):
    """A stack trace over several lines stays one event."""
    client.send(b"Traceback\n  line 1", path="inputs")

    assert client.stand_in.lines() == [b"Traceback\n  line 1"]


@pytest.mark.parametrize("tags", ["", "/", "/tag/a", "/tag/a/", "/tag/a,b/"])
def test_the_tag_segment_and_last_slash_are_optional(client, tags):
    """Clients were seen to send all these paths."""
    assert client.send(b"x", tags=tags).status_code == 200


def test_tags_of_path_and_header_are_united(client):
    """The event gets both; a tag with characters that are not allowed is dropped."""
    client.send(b"x", tags="/tag/a,b b/", headers={"X-LOGGLY-TAG": "c,a"})

    assert client.find("*")[0]["tags"] == ["a", "c"]


def test_an_empty_tag_header_is_malformed(client):
    """The vendor's own client says so."""
    assert client.send(b"x", headers={"X-LOGGLY-TAG": ""}).status_code == 400


def test_a_wrong_token_is_forbidden(client):
    """An API token cannot send either."""
    client.token = client.stand_in.behaviour.api_token

    assert client.send(b"x").status_code == 403


def test_a_body_over_the_limit_is_too_large(start):
    """Nothing of it is kept."""
    client = start(body_bytes=10)

    assert client.send(b"12345", b"67890").status_code == 413
    assert client.stand_in.lines() == []


def test_an_event_over_the_limit_is_too_large(start):
    """An event may be no larger than its own limit in a small enough body."""
    assert start(event_bytes=4).send(b"12345").status_code == 413


def test_an_empty_line_is_malformed(client):
    """Nobody documents it, so no client should send one."""
    assert client.send(b"a", b"", b"b").status_code == 400


def test_a_form_becomes_json(client):
    """The content type that clients send by default spoils the event."""
    client.send(b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert client.stand_in.lines() == [b'{"a":"1"}']


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 504])
def test_a_planned_status_is_answered_once(client, status):
    """The next request gets it, the one after that does not."""
    client.stand_in.sending.plan(str(status))

    assert [client.send(b"x").status_code for _ in range(2)] == [status, 200]
    assert client.stand_in.lines() == [b"x"]


def test_a_busy_answer_says_when_to_come_back(client):
    """The header comes as it was asked for."""
    client.stand_in.sending.plan("503", retry_after="7")

    assert client.send(b"x").headers["Retry-After"] == "7"


def test_a_reset_keeps_nothing(client):
    """The connection ends before the request is carried out."""
    client.stand_in.sending.plan("reset")

    with pytest.raises(requests.ConnectionError):
        client.send(b"x")

    assert client.stand_in.lines() == []


def test_a_lost_answer_keeps_the_events(client):
    """The client cannot know, so it sends again: Loggly has no key against doubles."""
    client.stand_in.sending.plan("lost-answer")

    with pytest.raises(requests.ConnectionError):
        client.send(b"x")

    assert client.stand_in.lines() == [b"x"]


def test_a_hang_ends_with_the_client_or_the_stand_in(client):
    """The client's time-out comes first; stopping lets the thread go."""
    client.stand_in.sending.plan("hang")

    with pytest.raises(requests.ReadTimeout):
        client.session.post(f"{client.url}/bulk/{client.token}", data=b"x", timeout=0.2)

    client.stand_in.stop()


def test_faults_by_chance_come_at_their_probability(client):
    """Of 300 requests about a third fail, the rest is taken."""
    client.stand_in.sending.chance({"503": 0.2, "413": 0.1}, seed=7)

    statuses = [client.send(b"x").status_code for _ in range(300)]

    assert 40 < statuses.count(503) < 80
    assert 15 < statuses.count(413) < 45
    assert len(client.stand_in.lines()) == statuses.count(200)


def test_an_unknown_fault_is_refused(client):
    """A typing error in a test does not go by."""
    with pytest.raises(ValueError, match="'5O3' is not a fault"):
        client.stand_in.sending.plan("5O3")


def test_it_comes_back_on_its_port_with_what_it_had(client):
    """A stop refuses connections, a start goes on."""
    client.send(b"before")

    client.stand_in.stop()
    with pytest.raises(requests.ConnectionError):
        client.send(b"down")
    client.stand_in.start()
    client.send(b"after")

    assert client.stand_in.lines() == [b"before", b"after"]


def test_a_journal_outlives_the_process(tmp_path):
    """A body whose writing was cut short was never acknowledged, and is not there."""
    journal = tmp_path / "journal"
    with StandIn(journal=journal) as stand_in:
        requests.post(f"{stand_in.url}/bulk/{stand_in.behaviour.token}", data=b"a\nb", timeout=5)
    with journal.open("ab") as file:
        file.write(b'{"received_ns": 1, "lines": ["half')

    with StandIn(Behaviour(), journal=journal) as again:
        assert again.lines() == [b"a", b"b"]
