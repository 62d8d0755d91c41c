"""A rolling update of `parts` by its manifest, under load: the image's own command, in pods."""

import json
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection

from ruamel.yaml import YAML

from cars.parts_client import PartsClient

from ..processes import until
from .namespaces import NEEDED, ROOT, command_of, stop

PORT = 8000
FORGOTTEN_AFTER_S = 0.3  # by the balancer: three seconds, where a pod's pause takes a tenth of its time
CONTAINER = next(
    each
    for document in YAML(typ="safe", pure=True).load_all(ROOT / "deploy" / "kubernetes" / "base" / "parts.yaml")
    if document["kind"] == "Deployment"
    for each in document["spec"]["template"]["spec"]["containers"]
)

pytestmark = NEEDED


class Service:
    """The service's address: each new connection goes to one of its pods."""

    def __init__(self):
        self.pods, self.answers = [], {}

    @contextmanager
    def under_load(self):
        """Two callers: one opens a connection for each request and never asks twice, the other is what `cars` uses."""
        over = threading.Event()
        with ThreadPoolExecutor(2) as threads:
            running = [threads.submit(call, over) for call in (self._ask, self._supply)]
            try:
                yield
            finally:
                over.set()
            for each in running:
                each.result()

    def _ask(self, over):
        while not over.wait(0.005):
            random.choice(self.pods).enter()
            request_id = uuid.uuid4().hex
            try:
                self.answers[request_id] = ask("PUT", f"/cars/{uuid.uuid4()}/parts", request_id)
            except OSError as fault:
                self.answers[request_id] = str(fault)

    def _supply(self, over):
        with closing(PartsClient(f"http://127.0.0.1:{PORT}", call_s=3)) as parts:
            while not over.wait(0.005):
                random.choice(self.pods).enter()
                parts.make_parts(uuid.uuid4(), "VW Golf")


def ask(method, path, request_id=""):
    """The status of an answer, by a connection of its own."""
    headers = {"X-Request-ID": request_id, "Content-Type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", PORT, timeout=20)) as connection:
        connection.request(method, path, json.dumps({"name": "VW Golf"}), headers)
        return connection.getresponse().status


def is_ready(pod):
    """Whether the manifest's probe says so."""

    def probe():
        pod.enter()
        return ask("GET", CONTAINER["readinessProbe"]["httpGet"]["path"])

    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(probe).result() == 200
        except ConnectionError:
            return False


def delete(pod, sidecar, container, service):
    """End a pod as the kubelet does, which tells nobody before it begins."""
    forgets = threading.Timer(FORGOTTEN_AFTER_S, service.pods.remove, [pod])
    forgets.start()
    for command in CONTAINER.get("lifecycle", {}).values():
        pod.run(*command["exec"]["command"])
    stop(container)
    stop(sidecar)
    forgets.join()
    pod.end()


def test_a_rolling_update_loses_no_request_and_no_event(start, database_url):
    """Each request is answered with 201, and its span is in the log of one of the two sidecars."""
    settings = {"DATABASE_URL": database_url, "PORT": str(PORT), "WEB_CONCURRENCY": "1"}
    service, running = Service(), []

    def roll_out(name):
        pod = start(name, **settings)
        running.append((pod, pod.ship(), pod.start(*command_of("parts"))))
        until(lambda: is_ready(pod), "ready pod")
        service.pods.append(pod)

    def more_requests():
        wanted = len(service.answers) + 30
        until(lambda: len(service.answers) >= wanted, "30 requests")

    roll_out("old")
    with service.under_load():
        more_requests()
        roll_out("new")
        more_requests()
        delete(*running[0], service)
        more_requests()
    delete(*running[1], service)

    served = {
        pod: {event.get("http", {}).get("request", {}).get("id") for event in pod.shipped()} for pod, *_ in running
    }
    assert set(service.answers.values()) == {201}
    assert all(ids & set(service.answers) for ids in served.values())
    assert set(service.answers) <= set.union(*served.values())
