"""Events to Loggly's bulk endpoint, one a line, many a request.

Source: Loggly, "HTTP bulk endpoint": at most 5 MB a body, 1 MB an event, status 200 with `{"response":"ok"}` for the
whole body. Not said: whether MB is 10^6 or 2^20, and what a service beyond its quota answers; so 4 MB are sent at
most, and whatever is not that answer is sent again.

An event goes out as it is, but for one key in front: `timestamp`, where Loggly looks for the time (it does not know
`@timestamp`). A key of that name which the event has itself gets `_ecs` behind it. The labels of an event with too many
keys go as one text, `labels_text`: Loggly takes up the fields of an event with about a hundred keys and not of one with
many more, nobody says how many. Finding takes all three back.
"""

import logging
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson
import requests
from urllib3.exceptions import HTTPError

from dashcam.destinations.exchange import new_session, read_answer, release, retry_after_s
from dashcam.destinations.loggly.options import Options
from dashcam.errors import BackendUnavailable, BatchRejected, SettingsError
from dashcam.settings import Secret
from dashcam.ship.batch import Batch, Limits, PartialResult, blocks_of


def _leave(_text: bytes, _begin: int, ends: memoryview) -> tuple[bytes, list[int]]:
    return b"", list(range(len(ends)))


try:
    from dashcam.destinations.loggly._dated import date_lines
except ImportError:  # there was no compiler
    date_lines = _leave

TAG = "dashcam"  # on every event, whatever LOGGLY_TAGS adds: searches find ours among others' by it

_BODY_BYTES = 4_000_000  # clients that sent up to 5 MB were answered 413
_EVENT_BYTES = 1_000_000
_EVENTS = 5000
_MAX_KEYS = 90
_WIDE_BYTES = 800  # an event of ours has 25 keys in 450 bytes, and 65 more take 390 at least
_ADDED_BYTES = 60  # the `timestamp` key, and `_ecs` behind a few names
_IN_FLIGHT = 4
_ANSWER_BYTES = 64 << 10  # {"response":"ok"}, or a page of a proxy that says why not
_TIMEOUT_S = 60  # to connect and send, and again to answer: four bodies at 2 Mbit/s take that long
_FIX_PAUSE_S = 10.0  # between tries while a person has to mend something; goes on within 30 s of the fix

_DATE_AT = len(b'{"@timestamp":')
_NAMED_TIMESTAMP = re.compile(rb'"timestamp((?:_ecs)*)":')
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


def connect(options: Options) -> "Loggly":
    """The backend for an account's customer token."""
    if not _TOKEN.fullmatch(options.token):
        seen = "holds characters that no token has" if options.token else "is not set"
        raise SettingsError(
            f"LOGGLY_TOKEN {seen}: LOG_BACKEND=loggly needs the customer token (Source Setup → Tokens)."
        )
    return Loggly(options.url, options.token, options.tags)


class Loggly:
    """One account's bulk endpoint, over connections that stay open; `ship` may run in several threads at once."""

    limits = Limits(_EVENTS, _BODY_BYTES - _EVENTS * _ADDED_BYTES, _IN_FLIGHT)

    def __init__(
        self,
        address: str,
        token: Secret,
        tags: Sequence[str] = (),
        *,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._host = urlsplit(address).netloc.rpartition("@")[2]
        self._url = Secret(f"{address}/bulk/{token}/tag/{','.join(dict.fromkeys((TAG, *tags)))}/")
        self._timeout_s = timeout_s
        self._hider = _Hider(token)
        self._hider.attach()
        self._session = new_session(_IN_FLIGHT)
        self._session.headers["Content-Type"] = "text/plain"

    def ship(self, batch: Batch) -> PartialResult | None:
        """Send a batch; Loggly answers for a whole body, so only what cannot be sent is named."""
        if not batch:
            return None
        lines, rejected, first = list[bytes](), dict[int, str](), 0
        for block in blocks_of(batch):
            made, left = date_lines(block.text, block.begin, block.ends)
            lines += [made] if made else []
            for index in left:
                try:
                    lines.append(_line_of(block[index].data))
                except ValueError as fault:
                    rejected[first + index] = str(fault)
            first += len(block)
        if lines:
            lines[-1] = lines[-1][:-1]
            body = b"".join(lines)
            del lines  # as many bytes again, for as long as the answer takes
            self._send(body)
        return PartialResult(rejected=rejected) if rejected else None

    def _send(self, body: bytes) -> None:
        if len(body) > _BODY_BYTES:
            raise BatchRejected(f"a body of {len(body)} bytes; the limit for Loggly is {_BODY_BYTES}")
        # Every exception of requests holds the URL, and that the token: none of them leaves here, not even as a cause.
        try:
            response = self._session.post(
                self._url,
                body,
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            )
            answer = read_answer(response, _ANSWER_BYTES)
        except (requests.RequestException, HTTPError, OSError) as error:
            fault = _reason_of(error)
            release(error)
        else:
            return self._judge(response, answer)
        raise BackendUnavailable(f"Loggly at {self._host} gave no answer: {fault}.")

    def _judge(self, response: requests.Response, answer: bytes) -> None:
        status = response.status_code
        if status == 200 and _is_ok(answer):
            return
        if status in {400, 413}:
            raise BatchRejected(f"Loggly at {self._host} answered {status} {response.reason}")
        seen = f"Loggly at {self._host} answered {status}"
        if status == 200:
            raise BackendUnavailable(
                f'{seen} without {{"response":"ok"}}: check LOGGLY_URL, and whether a proxy answers.'
            )
        if status in {401, 403}:
            raise BackendUnavailable(f"{seen}: LOGGLY_TOKEN is not a valid customer token. Events wait.", _FIX_PAUSE_S)
        if status in {408, 429} or status >= 500:
            raise BackendUnavailable(f"{seen}.", retry_after_s(response.headers))
        raise BackendUnavailable(f"{seen}: LOGGLY_URL is not a bulk endpoint. Events wait.", _FIX_PAUSE_S)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._hider.detach()


def _line_of(data: bytes) -> bytes:
    """Return an event's line with a newline; raises `ValueError` with the reason why Loggly would not take it."""
    try:
        line = dated(data)
    except ValueError as fault:
        raise ValueError(f"not JSON: {fault}") from None
    if len(line) > _EVENT_BYTES:
        raise ValueError(f"{len(line)} bytes as it is sent; Loggly accepts {_EVENT_BYTES}")
    return line + b"\n"


def dated(data: bytes) -> bytes:
    """An event's line with its `@timestamp` in front as `timestamp`; without one Loggly takes the time of arrival."""
    if len(data) > _WIDE_BYTES and data.count(b'":') > _MAX_KEYS:
        data = _with_text_labels(data)
    is_dated = data.startswith(b'{"@timestamp":"') and data[42:43] == b'"'
    if data.find(b"timestamp", _DATE_AT if is_dated else 0) >= 0:
        data = _NAMED_TIMESTAMP.sub(rb'"timestamp_ecs\1":', data)
    if is_dated:
        return b'{"%b,%b' % (data[3:43], data[1:])
    fields = orjson.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("an event is a JSON object")
    moment = fields.get("@timestamp")
    return b'{"timestamp":%b,%b' % (orjson.dumps(moment), data[1:]) if isinstance(moment, str) else data


def _with_text_labels(data: bytes) -> bytes:
    fields = orjson.loads(data)
    if "labels" not in fields:
        return data
    text = orjson.dumps(fields["labels"]).decode()
    return orjson.dumps(dict(("labels_text", text) if name == "labels" else (name, fields[name]) for name in fields))


def _is_ok(content: bytes) -> bool:
    try:
        return bool(orjson.loads(content) == {"response": "ok"})
    except ValueError:
        return False


def _reason_of(error: Exception) -> str:
    known = {
        requests.exceptions.SSLError: "its certificate is not trusted, or TLS failed",
        requests.exceptions.ProxyError: "the proxy does not lead to it",
        requests.exceptions.ConnectTimeout: "no connection in time",
        requests.exceptions.ReadTimeout: "no answer in time",
        requests.exceptions.ConnectionError: "the connection was refused or cut, or the name is unknown",
    }
    return next((text for kind, text in known.items() if isinstance(error, kind)), type(error).__name__)


class _Hider(logging.Filter):
    """Keeps a token out of the log of urllib3, whose debug lines have the path of every request."""

    LOGGERS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")

    def __init__(self, token: Secret) -> None:
        super().__init__()
        self._token = token

    def attach(self) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if self._token in text:
            record.msg, record.args = text.replace(self._token, "***"), ()
        return True
