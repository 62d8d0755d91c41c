"""Ways to send a notice: a webhook, Slack's form of it, a command, an e-mail."""

import os
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from dashcam.errors import DashcamError
from dashcam.watch.notice import Notice, as_json, as_mail, as_slack
from dashcam.watch.rules import Notifier

TIMEOUT_S = 15


class NotSentError(DashcamError):
    """A notice could not be sent, or nobody can tell; it is sent again, under the same ID."""


def send(notifier: Notifier, notice: Notice) -> None:
    """Send a notice; raises `NotSentError`, whose text has no secret."""
    try:
        match notifier.kind:
            case "webhook":
                _post(notifier.target[0], as_json(notice), notice.id)
            case "slack":
                _post(notifier.target[0], as_slack(notice), notice.id)
            case "command":
                environment = {
                    **os.environ,
                    "DASHCAM_ALERT_ID": notice.id,
                    "DASHCAM_ALERT_TEXT": notice.text.replace("\0", ""),
                }
                subprocess.run(
                    notifier.target,
                    input=orjson.dumps(as_json(notice)),
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    timeout=TIMEOUT_S,
                    check=True,
                )
            case "email":
                _mail(notifier, notice)
    except (OSError, ValueError, smtplib.SMTPException, subprocess.SubprocessError) as fault:
        raise NotSentError(f"notify.{notifier.name}: {_reason(fault)}") from None


def _reason(fault: Exception) -> str:
    if isinstance(fault, urllib.error.HTTPError):
        return f"the address answered {fault.code}"
    if isinstance(fault, subprocess.CalledProcessError):
        return f"the command ended with status {fault.returncode}"
    if isinstance(fault, subprocess.TimeoutExpired):
        return f"the command took longer than {TIMEOUT_S} s"
    if isinstance(fault, urllib.error.URLError):
        return f"the address cannot be reached: {fault.reason}"
    return f"{type(fault).__name__}: {getattr(fault, 'strerror', None) or 'it was refused'}"


def _post(address: str, body: Mapping[str, Any], notice_id: str) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": notice_id, "User-Agent": "dashcam"}
    request = urllib.request.Request(address, orjson.dumps(body), headers)  # noqa: S310 - the rules allow http only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read(1_000)
    except urllib.error.HTTPError as refused:
        refused.close()  # it holds the connection
        raise


def _mail(notifier: Notifier, notice: Notice) -> None:
    server = urlsplit(notifier.server)
    host, tls = server.hostname or "", ssl.create_default_context()  # smtplib's own trusts any certificate
    connection: smtplib.SMTP
    if server.scheme == "smtps":
        connection = smtplib.SMTP_SSL(host, server.port or 465, timeout=TIMEOUT_S, context=tls)
    else:
        connection = smtplib.SMTP(host, server.port or 25, timeout=TIMEOUT_S)
    try:
        if server.username:
            if server.scheme == "smtp":
                connection.starttls(context=tls)  # a password never goes in the clear
            connection.login(unquote(server.username), unquote(server.password or ""))
        sender = unquote(server.username or "")
        connection.send_message(as_mail(notice, notifier.target, sender if "@" in sender else notifier.target[0]))
        with suppress(OSError, smtplib.SMTPException):  # it was accepted, whatever the end of the talk is
            connection.quit()
    finally:
        connection.close()
