"""A notice: that an alert began or ended, with the story of one request, in the forms of those who get it."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import Any

from dashcam.event import format_time
from dashcam.show.accessors import format_duration
from dashcam.watch.rules import Rule

MAX_STORY = 6_000  # characters; a message of Slack may have 40,000, a line of many pagers much less
FIRING, RESOLVED = "firing", "resolved"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as it is sent; `id` is the same each time that this notice is sent, and no other has it."""

    id: str
    rule: str
    state: str
    text: str
    value: float | None
    at: str
    stories: tuple[str, ...] = ()
    story: str = ""


def alert_id(rule: Rule, moment_ns: int) -> str:
    """Return the ID of the alert of a rule that began at a moment."""
    return hashlib.sha256(f"{rule.name}\0{moment_ns}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Change:
    """An alert of a rule begins or ends at a moment, because of a value; `began_ns` is when it began."""

    rule: Rule
    state: str
    began_ns: int
    moment_ns: int
    value: float | None


def make_notice(change: Change, stories: Sequence[str], story: str) -> Notice:
    """Return the notice of a change."""
    rule = change.rule
    side = "below" if rule.is_below else "above"
    limit, shown = spell(rule, rule.threshold), spell(rule, change.value)
    so = f"{side} {limit}" if change.state == FIRING else f"no longer {side} {limit}"
    return Notice(
        id=f"{alert_id(rule, change.began_ns)}-{change.state}",
        rule=rule.name,
        state=change.state,
        text=f"{rule.name}: {rule.figure} is {shown}, {so}, in the last {format_duration(rule.window_ns)}",
        value=change.value,
        at=format_time(change.moment_ns),
        stories=tuple(stories),
        story=story[:MAX_STORY],
    )


def spell(rule: Rule, value: float | None) -> str:
    """Return a value of a rule's figure in words."""
    if value is None:
        return "unknown"
    if rule.figure.startswith("p"):
        return format_duration(int(value))
    return f"{value:.1%}" if rule.figure == "failed_share" else f"{value:,.0f}"


def as_json(notice: Notice) -> dict[str, Any]:
    """Return a notice as a webhook and a command get it."""
    return asdict(notice)


def as_slack(notice: Notice) -> dict[str, Any]:
    """Return a notice as an incoming webhook of Slack takes it: nothing in it is a link or calls anybody."""
    sign = ":red_circle:" if notice.state == FIRING else ":large_green_circle:"
    story = f"\n```{_escape(notice.story)}```" if notice.story else ""
    return {"text": f"{sign} {_escape(notice.text)}\n{notice.at}, alert {notice.id}{story}"}


def _escape(text: str) -> str:
    # Source: Slack, "Formatting text for app surfaces"; three backticks would end the block.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def as_mail(notice: Notice, recipients: Sequence[str], sender: str) -> EmailMessage:
    """Return a notice as an e-mail; its Message-ID is the same each time that it is sent."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(f"[{notice.state}] {notice.text}".split())[:200]
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Message-ID"] = f"<{notice.id}@dashcam.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        f"{notice.text}\n\n{notice.at}, alert {notice.id}\n{', '.join(notice.stories)}\n\n{notice.story}\n"
    )
    return mail
