"""A running stand-in and a client that knows nothing of it but its address and tokens."""

from contextlib import ExitStack

import orjson
import pytest
import requests

from dashcam.testing.fake_loggly import Behaviour, StandIn


class Client:
    """Sends and searches as Loggly's documentation says."""

    def __init__(self, stand_in, session):
        self.stand_in = stand_in
        self.session = session
        self.url = stand_in.url
        self.token = stand_in.behaviour.token

    def send(self, *events, path="bulk", tags="/tag/cars/", **options):
        body = b"\n".join(event if isinstance(event, bytes) else orjson.dumps(event) for event in events)
        return self.session.post(f"{self.url}/{path}/{self.token}{tags}", data=body, timeout=5, **options)

    def get(self, path, **parameters):
        span = {} if "next" in parameters else {"from": "-52w", "until": "now"}
        headers = {"Authorization": f"bearer {self.stand_in.behaviour.api_token}"}
        return self.session.get(f"{self.url}/apiv2/{path}", params=span | parameters, headers=headers, timeout=5)

    def find(self, query, **parameters):
        answer = self.get("events/iterate", q=query, order="asc", **parameters)
        answer.raise_for_status()
        return answer.json()["events"]

    def texts(self, query):
        return [event["raw"] for event in self.find(query)]


@pytest.fixture
def start():
    """Start a stand-in with these behaviour; gives its client."""
    with ExitStack() as stack:

        def start(**behaviour):
            stand_in = stack.enter_context(StandIn(Behaviour(**behaviour)))
            return Client(stand_in, stack.enter_context(requests.Session()))

        yield start


@pytest.fixture
def client(start):
    """The client of a stand-in as Loggly documents itself."""
    return start()
