"""A client of Elasticsearch and OpenSearch: an address, credentials, the streams that events are in.

Both speak plain JSON over HTTP, so no client library stands between: each of those refuses the other product, or
the version before its own.
"""

import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import orjson
import requests
from urllib3.exceptions import HTTPError

from dashcam.destinations.elasticsearch.options import Options
from dashcam.destinations.exchange import AnswerTooLargeError, new_session, read_answer, release, retry_after_s
from dashcam.errors import SettingsError, StoreUnreachable
from dashcam.event import read_json
from dashcam.settings import Secret

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 30  # a busy engine takes seconds for a large request

OLDEST_ELASTICSEARCH = (7, 17)
OLDEST_OPENSEARCH = (2, 7)  # the first with flat_object, which holds labels

MAX_REASON_CHARACTERS = 500


def logs_stream(namespace: str) -> str:
    """The data stream of log lines."""
    return f"logs-dashcam-{namespace}"


def spans_stream(namespace: str) -> str:
    """The data stream of spans, by a name where Kibana looks for traces."""
    return f"traces-apm.dashcam-{namespace}"


def dead_letters_stream(namespace: str) -> str:
    """The data stream where fluentd reports undelivered events."""
    return f"{logs_stream(namespace)}.dead"


@dataclass(frozen=True, slots=True)
class Product:
    """The product at an address, and its version."""

    is_opensearch: bool
    version: tuple[int, int]

    def __str__(self) -> str:
        name = "OpenSearch" if self.is_opensearch else "Elasticsearch"
        return f"{name} {self.version[0]}.{self.version[1]}"

    def is_at_least(self, *version: int) -> bool:
        """Return whether this is Elasticsearch of this version or later."""
        return not self.is_opensearch and self.version >= version


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to one request; `body` is its JSON, or `None` where it is something else."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """True if the request was carried out, with an answer in JSON."""
        return self.status in {200, 201} and self.body is not None

    @property
    def has_no_handler(self) -> bool:
        """True if the product does not know the request: another product, a version, a missing plugin."""
        return self.status in {405, 410} or (self.status == 400 and "no handler found" in self.reason)

    @property
    def reason(self) -> str:
        """The failure that the answer reports, as `type: reason`."""
        return reason_of(self.body.get("error") if isinstance(self.body, dict) else None) or "without a reason"

    @property
    def retry_after_s(self) -> float | None:
        """The seconds that the server asks to be left alone, if it does."""
        return retry_after_s(self.headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request, its text not read yet: that of a batch may be known by its bytes."""

    status: int
    text: bytes
    headers: Mapping[str, str]

    def read(self) -> Response:
        """Return it with the JSON of its text."""
        try:
            body = read_json(self.text)
        except ValueError:
            body = None
        return Response(self.status, body, self.headers)


def reason_of(error: Any) -> str:
    """The `error` of an answer, or of an item of one, in one line."""
    if isinstance(error, dict):
        error = f"{error.get('type')}: {error.get('reason')}"
    return " ".join(str(error or "").split())[:MAX_REASON_CHARACTERS]


class OversizedAnswer(StoreUnreachable):
    """The answer is larger than one may be; a smaller page may do."""


class Client:
    """Requests to one address, from any thread: each thread keeps its own connection alive."""

    def __init__(
        self, options: Options, variable: str = "ELASTICSEARCH_URL", answer_timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        """A connection to the address in a setting, `KIBANA_URL` is another; both take the same key or user."""
        self._answer_timeout_s = answer_timeout_s
        self._variable = variable
        url = options.kibana_url if variable == "KIBANA_URL" else options.url
        if not url:
            raise SettingsError(f"{variable} is not set; expected http://host:port or https://host:port.")
        parts = urlsplit(url)
        self.address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self.is_local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        self._ca = str(options.ca) if options.ca else None
        self._has_key = bool(options.api_key)
        user = parts if parts.username else urlsplit(options.url)
        self._has_user = bool(user.username)
        self._auth = _auth(options.api_key, user.username, user.password)
        self._threads = threading.local()
        self._sessions: list[requests.Session] = []

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to a request, whatever its status; a body that is not bytes is sent as JSON.

        Raises `StoreUnreachable` when there is none.
        """
        return self.exchange(method, path, body, params, headers).read()

    def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request as `ask` gives it, but its text not read yet."""
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        try:
            if not hasattr(self._threads, "session"):
                self._threads.session = new_session()
                self._sessions.append(self._threads.session)
            session: requests.Session = self._threads.session
            with session.request(
                method,
                self.address + path,
                params=params,
                data=data,
                headers={"Content-Type": "application/json", **(headers or {})},
                auth=self._auth,
                verify=self._ca,  # given with each request: REQUESTS_CA_BUNDLE would go before a session's own
                timeout=(CONNECT_TIMEOUT_S, self._answer_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(response.status_code, read_answer(response), response.headers)
        except AnswerTooLargeError as fault:
            raise OversizedAnswer(f"{self.address}: {fault}.") from fault
        except (requests.RequestException, HTTPError, OSError) as fault:
            release(fault)
            raise StoreUnreachable(self._explain_fault(fault)) from fault

    def product(self) -> Product | None:
        """The product and its version; `None` where the key has no right to ask.

        Raises `StoreUnreachable` when it is none that Dashcam can use.
        """
        answer = self.ask("GET", "/")
        if answer.status == 403:
            return None
        if not answer.is_ok:
            raise StoreUnreachable(self.explain(answer))
        product = _product(answer.body)
        if product is None:
            raise StoreUnreachable(f"{self.address} is neither Elasticsearch nor OpenSearch: check {self._variable}.")
        oldest = OLDEST_OPENSEARCH if product.is_opensearch else OLDEST_ELASTICSEARCH
        if product.version < oldest:
            raise StoreUnreachable(
                f"{product} at {self.address} is too old: Dashcam needs {oldest[0]}.{oldest[1]} or later."
            )
        return product

    def explain(self, answer: Response, right: str = "") -> str:
        """Explain an answer that is not a success, and what to do; `right` names the privilege it needs."""
        seen = f"{self.address} answered {answer.status}"
        if answer.status == 401 and not (self._has_key or self._has_user):
            how = "set ELASTICSEARCH_API_KEY, or put user:password@ into ELASTICSEARCH_URL"
            return f"{seen}: it needs credentials; {how}."
        if answer.status == 401:
            return f"{seen}: {self._who()} is wrong, has expired, or was withdrawn."
        if answer.status == 403 and "cluster_block" in answer.reason:
            return f"{seen}, it is blocked: {answer.reason}. Lift the block; disk space is the usual cause."
        if answer.status == 403:
            needed = f" It needs {right}." if right else ""
            return f"{seen}: {self._who()} may not do this.{needed} ({answer.reason})"
        if 300 <= answer.status < 400:
            return f"{seen}, a redirect to {answer.headers.get('Location')}: check {self._variable}."
        if answer.body is None:
            return f"{seen} with something that is not JSON: check {self._variable}, or the proxy at that address."
        return f"{seen}: {answer.reason}"

    def part(self, body: Any, *names: str, kind: type[T]) -> T:
        """Return the part of an answer's body by these names; raises `StoreUnreachable` when it has another form."""
        value = body
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            missing = f" without {'.'.join(names)}" if names else " of another form"
            raise StoreUnreachable(f"{self.address} gave an answer{missing}: check {self._variable}.")
        return value

    def close(self) -> None:
        """Give back the connections of all threads."""
        for session in self._sessions:
            session.close()

    def _who(self) -> str:
        if self._has_key:
            return "the key in ELASTICSEARCH_API_KEY"
        return "the user in ELASTICSEARCH_URL" if self._has_user else "someone without a key"

    def _explain_fault(self, fault: BaseException) -> str:
        if isinstance(fault, requests.exceptions.SSLError):
            return (
                f"{self.address} shows a certificate that is not trusted ({_root(fault)}); ELASTICSEARCH_CA names the "
                f"PEM file of its authority, and the host name must be the one in {self._variable}."
            )
        if isinstance(fault, requests.Timeout | TimeoutError | HTTPError):
            return f"{self.address} gave no whole answer within {self._answer_timeout_s} s ({_root(fault)})."
        return f"{self.address} cannot be reached: {_root(fault)}."


def _auth(key: Secret, user: str | None, password: str | None) -> Callable[[requests.PreparedRequest], Any]:
    """Return the credentials of a request; without them requests would look into ~/.netrc."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError("ELASTICSEARCH_API_KEY='***' cannot be used: expected the encoded form of a key.")
    pair = f"{unquote(user or '')}:{unquote(password or '')}".encode()
    signature = f"ApiKey {key}" if key else f"Basic {b64encode(pair).decode()}" if user else None

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if signature:
            request.headers["Authorization"] = signature
        return request

    return sign


def _product(body: Any) -> Product | None:
    version = body.get("version") if isinstance(body, dict) else None
    if not isinstance(version, dict):
        return None
    major, minor, *_ = [*str(version.get("number")).split("."), ""]
    if not (major.isdecimal() and minor.isdecimal()):
        return None
    return Product(version.get("distribution") == "opensearch", (int(major), int(minor)))


def _root(fault: BaseException) -> str:
    """The first cause of an error: the message of the operating system, not of the layers above."""
    while inner := fault.__cause__ or fault.__context__:
        fault = inner
    return str(fault)
