"""Notices as they arrive: at a webhook, at Slack, in a command, in a mailbox."""

import json
import socket
import ssl
import sys
import threading
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from dashcam.watch.notice import Notice, as_slack
from dashcam.watch.rules import Notifier
from dashcam.watch.senders import NotSentError, send

from ..ports import free_port

NOTICE = Notice(
    "abc123-firing",
    "orders",
    "firing",
    "orders: 7 <@here> & more",
    7.0,
    "2026-11-24T01:00:00.000000Z",
    ("bad",),
    "a ``` b",
)


@contextmanager
def receiver(status=200):
    """A webhook; gives its address and what it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((dict(self.headers), body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook?token=secret", got
        server.shutdown()
        thread.join()


def test_a_webhook_gets_json_and_a_key():
    """The key is the notice's ID, by which the other side knows one that came again."""
    with receiver() as (address, got):
        send(Notifier("hook", "webhook", (address,)), NOTICE)

    ((headers, body),) = got
    assert headers["Idempotency-Key"] == body["id"] == "abc123-firing"
    assert (body["state"], body["value"], body["stories"], body["story"]) == ("firing", 7.0, ["bad"], "a ``` b")


def test_slack_gets_its_form():
    """Nothing in it calls anybody or is a link, and the story cannot end its block."""
    with receiver() as (address, got):
        send(Notifier("team", "slack", (address,)), NOTICE)

    ((_, body),) = got
    assert body == as_slack(NOTICE)
    assert body["text"].startswith(":red_circle: orders: 7 &lt;@here&gt; &amp; more\n")
    assert body["text"].endswith("\n```a ''' b```")


def test_a_command_gets_json_on_its_standard_input(tmp_path):
    """And the ID in its environment."""
    code = "import os, sys; open(sys.argv[1], 'w').write(os.environ['DASHCAM_ALERT_ID'] + sys.stdin.read())"
    send(Notifier("page", "command", (sys.executable, "-c", code, str(tmp_path / "got"))), NOTICE)

    text = (tmp_path / "got").read_text()
    assert text.startswith("abc123-firing{")
    assert json.loads(text.removeprefix("abc123-firing"))["rule"] == "orders"


def mailbox():
    """A mail server for one message that knows no farewell; gives its port, and a thread with the `mail` it got."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as connection, connection.makefile("rwb") as stream:
            stream.write(b"220 here\r\n")
            stream.flush()
            data = None
            for line in stream:
                if data is not None and line != b".\r\n":
                    data.append(line)
                    continue
                if data:
                    thread.mail = b"".join(data)
                data = [] if line.upper().startswith(b"DATA") else None
                stream.write(b"354 go on\r\n" if data == [] else b"250 ok\r\n")
                stream.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], thread


def test_a_mail_brings_the_story():
    """Its Message-ID is the notice's; a server that takes it and then answers oddly has taken it."""
    port, thread = mailbox()
    send(Notifier("post", "email", ("ops@example.com", "dev@example.com"), f"smtp://127.0.0.1:{port}"), NOTICE)
    thread.join(10)

    mail = message_from_bytes(thread.mail)
    assert mail["Subject"] == "[firing] orders: 7 <@here> & more"
    assert mail["To"] == "ops@example.com, dev@example.com"
    assert mail["Message-ID"] == "<abc123-firing@dashcam.invalid>"
    assert "a ``` b" in mail.get_payload()


LOGIN = ("watch@example.com", "open sesame: 7/8")


class Post:
    """A post office that takes mails from one user alone."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - as the library calls it
        self.mails.append((session.ssl is not None, session.auth_data, message_from_bytes(envelope.content)))
        return "250 OK"


@contextmanager
def post_office(certificate, *, is_tls):
    """An SMTP server on a free port, with TLS from the beginning or by STARTTLS; gives its port and what it got."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(tls)
    post = Post()

    def admit(server, session, envelope, mechanism, auth):
        given = (auth.login.decode(), auth.password.decode())
        return AuthResult(success=given == LOGIN, auth_data=given[0], handled=given == LOGIN)

    ways = {"ssl_context": tls} if is_tls else {"tls_context": tls, "require_starttls": True}
    control = Controller(
        post,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=admit,
        auth_required=True,
        auth_require_tls=not is_tls,
        **ways,
    )
    control.start()
    try:
        yield control.port, post.mails
    finally:
        control.stop()


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """A certificate authority that this machine trusts."""
    found = trustme.CA()
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return found


@pytest.fixture
def mail_over():
    """Send the notice by mail, over a scheme."""

    def over(port, scheme, password=LOGIN[1]):
        user = f"{quote(LOGIN[0], safe='')}:{quote(password, safe='')}"
        send(Notifier("post", "email", ("ops@example.com",), f"{scheme}://{user}@localhost:{port}"), NOTICE)

    return over


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # with smtps it is there already
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_mail_goes_over_tls_with_a_login(authority, mail_over, scheme):
    """By STARTTLS on an ordinary port, from the beginning with smtps; the user is who sends it."""
    with post_office(authority.issue_cert("localhost"), is_tls=scheme == "smtps") as (port, mails):
        mail_over(port, scheme)
        with pytest.raises(NotSentError, match="SMTPAuthenticationError: it was refused") as fault:
            mail_over(port, scheme, "wrong")

    ((has_tls, user, mail),) = mails
    assert (has_tls, user) == (scheme == "smtp", LOGIN[0])  # the server notes what STARTTLS began
    assert (mail["From"], mail["To"]) == (LOGIN[0], "ops@example.com")
    assert "wrong" not in str(fault.value)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # with smtps it is there already
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_goes_to_no_stranger(authority, mail_over, scheme):
    """A certificate of another authority, or for another name, ends the talk before the login."""
    for stranger in (trustme.CA().issue_cert("localhost"), authority.issue_cert("mail.example.com")):
        with post_office(stranger, is_tls=scheme == "smtps") as (port, mails):
            with pytest.raises(NotSentError, match="SSLCertVerificationError"):
                mail_over(port, scheme)

            assert mails == []


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("webhook", ("http://127.0.0.1:1/secret",), "the address cannot be reached"),
        ("command", (sys.executable, "-c", "raise SystemExit(3)"), "the command ended with status 3"),
        ("command", ("/no/such/secret",), "FileNotFoundError: No such file"),
        ("email", ("ops@example.com",), "ConnectionRefusedError: Connection refused"),
    ],
)
def test_what_cannot_be_sent_has_a_reason(kind, target, reason):
    """Without the address, which may hold a secret."""
    with pytest.raises(NotSentError) as fault:
        send(Notifier("x", kind, target, "smtp://me:secret@127.0.0.1:1"), NOTICE)

    assert str(fault.value).startswith(f"notify.x: {reason}")
    assert "secret" not in str(fault.value)


def test_an_answer_that_is_no_success_is_a_failure():
    """The notice is to be sent again."""
    with receiver(503) as (address, _), pytest.raises(NotSentError, match="the address answered 503"):
        send(Notifier("hook", "webhook", (address,)), NOTICE)
