"""Events of clips: held lines with the reason why they are shipped, and the event that says which request was kept."""

from hashlib import sha256
from typing import Any

import orjson

from dashcam.event import NS_PER_S, EncodedEvent
from dashcam.ship.clips.clip_journal import Clip
from dashcam.spool.line import LineExpander
from dashcam.spool.segment import Header

ACTION = "request-kept"


def with_reason(line: bytes, reason: str) -> bytes:
    """Return a line of the spool with the rule that kept its request, as `event.reason`."""
    return line[:-2] + b',"reason":' + orjson.dumps(reason) + b"}}"


def announce(header: Header, clip: Clip, incomplete: str) -> EncodedEvent:
    """Return the event that announces a kept request: the rule, and the reason if its clip is `incomplete`.

    The same clip of the same host gives the same ID. Other hosts look for it, and ship their lines of the request.
    """
    subject = "request" if clip.request else "lines before an error outside of any request"
    event: dict[str, Any] = {
        "time_ns": clip.time_ns,
        "log.level": "warning" if incomplete else "info",
        "message": f"{subject} kept: {clip.reason}" + (f"; {incomplete}" if incomplete else ""),
    }
    if clip.request:
        event["http"] = {"request": {"id": clip.request}}
    if clip.trace:
        event["trace"] = {"id": clip.trace}
    event["log"] = {"logger": "dashcam.ship"}
    event["event"] = {"kind": "event", "action": ACTION, "reason": clip.reason}
    fields = orjson.loads(LineExpander(header).expand(orjson.dumps(event), 0).data)
    host = fields.get("host", {}).get("name", "")
    fields["event"]["id"] = f"kept-{sha256(f'{host} {clip.id} {clip.time_ns}'.encode()).hexdigest()[:24]}"
    del fields["event"]["sequence"]
    return EncodedEvent(fields["event"]["id"], is_span=False, data=orjson.dumps(fields))


def history(since_ns: int, until_ns: int) -> str:
    """Return a period as text."""
    seconds = max(0, until_ns - since_ns) // NS_PER_S if since_ns else 0
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
