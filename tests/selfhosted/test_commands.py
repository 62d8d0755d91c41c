"""The commands, as a person runs them, over a stack of one's own: recorded, shipped and found by real processes."""

import json
import subprocess
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from .. import prepared
from ..engines.streams import new_namespace, set_up, settings_for
from ..hosted.processes import Stage
from ..ports import free_port
from ..processes import run, until
from .relay import RelayProcess

SERVICE = """
import sys
import flask
import dashcam

app = flask.Flask("garage")
dashcam.init_app(app, "garage")

@app.post("/cars")
def cars():
    dashcam.get_logger("garage").info("car created", car=dashcam.request_id())
    return {}, 201

app.test_client().post("/cars", headers={"X-Request-ID": sys.argv[1]})
"""
KIBANA = "http://127.0.0.1:5601"


class Stack(NamedTuple):
    """A machine, the route it ships by, and what asks there."""

    stage: Stage
    route: str

    def request(self, request_id):
        """One request to a service; shipped when this returns."""
        run(SERVICE, request_id, env=self.stage.environment)
        self.stage.drain(self.route)

    def ask(self, *command, **environment):
        """A command's exit status, output, and words on standard error."""
        given = self.stage.environment | {"LOG_BACKEND": self.route} | environment
        done = prepared.run(["-m", "dashcam", *command], given, 60)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module", params=[("elasticsearch", "opensearch_url"), ("elk", "elasticsearch_url")])
def stack(request, tmp_path_factory):
    """Each route, with one request in it that can be found."""
    route, name = request.param
    url, namespace = request.getfixturevalue(name), new_namespace()
    set_up(settings_for(url, namespace))
    folder = tmp_path_factory.mktemp(route)
    environment = {"ELASTICSEARCH_URL": url, "DASHCAM_NAMESPACE": namespace}
    with ExitStack() as stack:
        if route == "elk":
            relay = stack.enter_context(RelayProcess(folder / "relay", url, namespace))
            environment |= relay.environment
        made = Stack(stack.enter_context(Stage(folder / "state", environment)), route)
        made.request("golf-1")
        until(lambda: len(made.ask("search", "request:golf-1", "--json")[1].splitlines()) == 2, "line and span")
        yield made


def test_trace_prints_the_story(stack):
    """The request's span and the line within."""
    status, out, _ = stack.ask("trace", "golf-1")

    assert status == 0
    assert "POST /cars" in out
    assert "car created" in out
    assert "http" not in out.splitlines()[-1]


def test_trace_prints_the_links_to_kibana(stack):
    """The dashboard and Discover, for this story; who logs in there stays out of it."""
    _, out, _ = stack.ask("trace", "golf-1", KIBANA_URL=KIBANA.replace("//", "//elastic:hush-hush@"))

    dashboard, discover = out.splitlines()[-2:]
    assert dashboard.startswith(f"Kibana dashboard: {KIBANA}/app/dashboards#/view/dashcam-request-story?")
    assert discover.startswith(f"Kibana discover: {KIBANA}/app/discover#/?")
    assert "trace.id" in dashboard
    assert "trace.id" in discover


def test_trace_as_json_carries_the_links(stack):
    """The same ones; none without KIBANA_URL."""
    story, bare = (
        json.loads(stack.ask("trace", "car=golf-1", "--json", **environment)[1])
        for environment in ({"KIBANA_URL": KIBANA}, {})
    )

    assert story["request_ids"] == ["golf-1"]
    assert sorted(story["links"]) == ["kibana_dashboard", "kibana_discover"]
    assert bare["links"] == {}


def test_search_prints_what_matches(stack):
    """By label and by words."""
    status, out, _ = stack.ask("search", 'car:golf-1 "car created"', "--json")

    assert status == 0
    assert [json.loads(line)["labels"] for line in out.splitlines()] == [{"car": "golf-1"}]


@pytest.mark.parametrize("command", [("trace", "polo-1"), ("search", "request:polo-1")])
def test_what_is_not_there_is_told(stack, command):
    """Exit status 1, in words, with nothing printed."""
    status, out, error = stack.ask(*command)

    assert (status, out) == (1, "")
    assert error.startswith("dashcam: no event ")


def test_tail_prints_what_comes(stack):
    """A line recorded after it began, soon after it was shipped."""
    given = stack.stage.environment | {"LOG_BACKEND": stack.route}
    command = ["-m", "dashcam", "tail", "message:created", "--json"]
    with prepared.start(command, given, stdout=subprocess.PIPE) as tail:
        stack.request("tail-1")
        came = [json.loads(tail.stdout.readline())["http"]["request"]["id"]]
        tail.terminate()

    assert came == ["tail-1"]


def test_status_accounts_for_everything(stack):
    """Exit status 0 when nothing is in the way."""
    status, out, _ = stack.ask("status", "--json")

    account = json.loads(out)
    route = account["routes"][stack.route]
    assert status == 0
    assert account["recorded"] == route["delivered"] > 0
    assert (route["waiting"], route["dead"], route["trouble"]) == (0, 0, None)


def test_audit_finds_all_as_it_was_recorded(stack):
    """What fluentd adds is no change."""
    until(lambda: stack.ask("audit")[0] == 0, "audit that finds all well", 40)


@pytest.mark.parametrize("command", [("trace", "golf-1"), ("search", "golf"), ("tail",)])
def test_an_engine_that_is_away_is_named(stack, command):
    """Exit status 3; the address without user and password."""
    port = free_port()

    status, out, error = stack.ask(*command, ELASTICSEARCH_URL=f"http://elastic:hush-hush@127.0.0.1:{port}")

    assert (status, out) == (3, "")
    assert f"http://127.0.0.1:{port} cannot be reached" in error
    assert "hush-hush" not in error
