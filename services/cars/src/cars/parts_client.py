"""The parts service, called over HTTP within bounded time."""

import json
import random
import time
from http.cookiejar import DefaultCookiePolicy
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import requests
from requests import exceptions
from urllib3.exceptions import ReadTimeoutError
from werkzeug.exceptions import BadGateway, GatewayTimeout, HTTPException, ServiceUnavailable

import dashcam
from cars.transport import TimedAdapter
from chassis.deadline import remaining_s, within

ATTEMPTS = 3
CONNECT_S = 1.0  # parts is on the same network
LARGEST_BYTES = 1_000_000  # a car's parts take 4 kB
PART_FIELDS = ("id", "name", "position", "serial_number")

log = dashcam.get_logger(__name__)


class Answer(NamedTuple):
    """The answer of parts: its status, and its body if that was JSON."""

    status: int
    body: Any

    @property
    def detail(self) -> str:
        """The reason in words, if parts gave one."""
        detail = self.body.get("detail") if isinstance(self.body, dict) else None
        return detail if isinstance(detail, str) else f"status {self.status}"


class PartsClient:
    """Has parts made and removed, one attempt at it taking up to `call_s` seconds.

    Every call may be repeated, as parts does the work for one car id once; so a call that fails, but for a reason
    that stays, is made again after a short random pause. Raises 502 when parts answers rubbish, 503 when it does
    not answer or cannot deliver, 504 when it takes too long. Safe for threads.
    """

    def __init__(self, url: str, call_s: float) -> None:
        self._url = url
        self._call_s = call_s
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between two services of ours
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, TimedAdapter())

    def make_parts(self, car_id: UUID, name: str) -> list[dict[str, str]]:
        """The parts of a car, made now or by an earlier call for the same car id."""
        answer = self._call("PUT", f"/cars/{car_id}/parts", {"name": name})
        if answer.status not in {200, 201}:
            raise BadGateway(f"parts refused: {answer.detail}")
        return _read_parts(answer.body)

    def remove_parts(self, car_id: UUID) -> None:
        """Have the parts of a car removed, and never made again."""
        answer = self._call("DELETE", f"/cars/{car_id}/parts")
        if answer.status != 204:
            raise BadGateway(f"parts refused: {answer.detail}")

    def check(self) -> None:
        """Raise an HTTP error unless parts is there."""
        answer = self._attempt("GET", "/healthz")
        if answer.status != 200:
            raise BadGateway(f"parts refused: {answer.detail}")

    def close(self) -> None:
        """Close the connections not in use."""
        self._session.close()

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Answer:
        for attempt in count(1):
            try:
                return self._attempt(method, path, body)
            except (BadGateway, GatewayTimeout, ServiceUnavailable) as fault:
                pause_s = _pause_s(fault, attempt)
                if attempt == ATTEMPTS or pause_s >= remaining_s():
                    raise
                log.warning("parts failed, it is asked again", attempt=attempt, reason=fault.description)
                time.sleep(pause_s)
        raise AssertionError("count never ends")

    def _attempt(self, method: str, path: str, body: dict[str, str] | None = None) -> Answer:
        with within(self._call_s):
            if not (left_s := remaining_s()):
                raise GatewayTimeout("parts gave no answer in time.")
            try:
                with self._session.request(
                    method,
                    self._url + path,
                    json=body,
                    allow_redirects=False,
                    stream=True,
                    timeout=(min(CONNECT_S, left_s), left_s),
                ) as response:
                    answer = Answer(response.status_code, _decode(_read(response)))
            except exceptions.RequestException as fault:
                raise _named(fault) from fault
        if answer.status in {502, 503, 504}:
            raise ServiceUnavailable(f"parts cannot deliver: {answer.detail}", retry_after=_retry_after_s(response))
        return answer


def _pause_s(fault: HTTPException, attempt: int) -> float:
    asked_s = float(getattr(fault, "retry_after", None) or 0)
    return max(asked_s, random.uniform(0.1, 0.2) * attempt)  # noqa: S311 - no secret


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise exceptions.ContentDecodingError("too large")
    return bytes(body)


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _named(fault: exceptions.RequestException) -> HTTPException:
    # A time-out while the body is read comes as a ConnectionError that holds urllib3's.
    if isinstance(fault, exceptions.Timeout) or any(isinstance(cause, ReadTimeoutError) for cause in fault.args):
        return GatewayTimeout("parts gave no answer in time.")
    if isinstance(fault, exceptions.ChunkedEncodingError | exceptions.ContentDecodingError):
        return BadGateway("parts gave half an answer, or an unreadable one.")
    return ServiceUnavailable("parts cannot be reached.")


def _retry_after_s(response: requests.Response) -> int | None:
    text = response.headers.get("Retry-After", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _read_parts(body: Any) -> list[dict[str, str]]:
    try:
        parts = [{field: part[field] for field in PART_FIELDS if field in part} for part in body["parts"]]
        for part in parts:
            UUID(part["id"])
        is_usable = bool(parts) and all(value.isprintable() for part in parts for value in part.values())
        is_usable = is_usable and all("name" in part for part in parts)
    except (TypeError, KeyError, ValueError, AttributeError):
        is_usable = False
    if not is_usable:
        raise BadGateway("parts answered something else than parts.")
    return parts
