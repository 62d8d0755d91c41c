"""Asks for a request to be kept with all of its lines, whatever becomes of it: by the code, or by its caller.

A caller asks by the header `X-Dashcam-Keep: EXPIRY.SIGNATURE`: seconds since the epoch, and their HMAC-SHA256 with the
key of `DASHCAM_CLIP_KEY`, in hexadecimal digits. Any other value is ignored; the server span has a label that says so.
"""

import hmac
import time

from opentelemetry.context import Context, get_current

from dashcam.codec import orjson
from dashcam.record.context import recorder
from dashcam.record.context.correlation import REQUEST_ID, ids_in
from dashcam.record.values.sanitizer import Sanitizer
from dashcam.spool.line import KEEP_HEAD

HEADER = "X-Dashcam-Keep"
REFUSED = "keep_refused"  # the label of a request whose header is not signed by the key, or has expired
MAX_REASON_BYTES = 200

_END = b',"log":{"logger":"dashcam.keep"},"event":{"kind":"event","action":"request-keep","reason":%b}}\n'
_key = b""


def configure(key: str) -> None:
    """Set the key that callers sign with; without one no header is looked at."""
    global _key
    _key = key.encode()


def keep(reason: str) -> None:
    """Keep the current request: its held lines are shipped, with the reason. Never raises.

        >>> if total > 10_000:
        ...     dashcam.keep("large order")

    Outside of a request, do nothing. docs/clips.md explains held lines.
    """
    _record(get_current(), reason)


def _record(context: Context, reason: object) -> None:
    try:
        if context.get(REQUEST_ID):
            text = Sanitizer().text(reason, MAX_REASON_BYTES)
            head = b'{"time_ns":%d%b"log.level":"info","message":%b' % (
                time.time_ns(),
                KEEP_HEAD,
                orjson.dumps(f"to be kept: {text}"),
            )
            recorder.current().append(head + ids_in(context) + _END % orjson.dumps(text))
    except Exception:  # noqa: BLE001 — telemetry never fails a request
        recorder.give_up()


def heed(header: str | None, context: Context) -> bool:
    """Keep the request of a context if its caller may ask for that; return false for a header that is refused."""
    if not header or not _key:
        return True
    until, _, _ = header.partition(".")
    is_timely = until.isdecimal() and len(until) < 12 and int(until) >= time.time()
    if not is_timely or not hmac.compare_digest(header.encode(), sign(_key.decode(), int(until)).encode()):
        return False
    _record(context, "asked by the caller")
    return True


def sign(key: str, until_s: int) -> str:
    """Return the header's value that asks for requests to be kept until a time."""
    return f"{until_s}.{hmac.new(key.encode(), str(until_s).encode(), 'sha256').hexdigest()}"
