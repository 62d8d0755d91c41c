"""The viewer's server: a few pages over any store, for a person on their own machine."""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dashcam.errors import DashcamError, StoreEmpty, StoreUnreachable
from dashcam.show.web import figures, lists, page, stories
from dashcam.show.web.address import Address
from dashcam.show.web.finder import Finder

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

pages = flask.Blueprint("pages", __name__, static_folder="static")


def create_app(
    finder: Finder, *, hosts: frozenset[str] = LOOPBACK, clock: Callable[[], int] = time.time_ns
) -> flask.Flask:
    """The viewer as a WSGI application; it answers only to the names in `hosts`, or, if there are none, to any.

    A page of a stranger's could otherwise, by a name that leads to 127.0.0.1, read what is shown here.
    """
    app = flask.Flask("dashcam.show.web", static_folder=None)
    app.config |= {"FINDER": finder, "HOSTS": hosts, "CLOCK": clock}
    for each in (pages, figures.pages, lists.pages, stories.pages):
        app.register_blueprint(each)
    return app


def serve(app: flask.Flask, host: str, port: int) -> BaseWSGIServer:
    """A server that listens already; `serve_forever` runs it, `port` is the port it got for 0.

    Raises `DashcamError` when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as fault:
        raise DashcamError(
            f"The viewer cannot listen on {host} port {port}: {fault}. --port 0 uses a free one."
        ) from None
    with listener:
        return make_server(host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: a page seen is not worth a line."""


@pages.before_app_request
def check_host() -> None:
    """Refuse names that are not ours."""
    hosts = flask.current_app.config["HOSTS"]
    if hosts and urlsplit(f"//{flask.request.host}").hostname not in hosts:
        raise BadRequest(f"The viewer answers to {', '.join(sorted(hosts))}.")


@pages.after_app_request
def add_headers(response: flask.Response) -> flask.Response:
    """Keep every page to the policy."""
    is_asset = flask.request.endpoint == "pages.static"  # its address changes with its content
    response.headers.update(HEADERS | {"Cache-Control": "max-age=31536000, immutable" if is_asset else "no-store"})
    return response


@pages.app_errorhandler(StoreEmpty)
def show_empty(error: StoreEmpty) -> tuple[str, int]:
    """Report that nothing was shipped yet, so that nothing can be found."""
    return _problem("Nothing is recorded yet", str(error)), 404


@pages.app_errorhandler(StoreUnreachable)
def show_unreachable(error: StoreUnreachable) -> tuple[str, int]:
    """Report that the store gives no answer."""
    return _problem("The store cannot be reached", str(error)), 503


@pages.app_errorhandler(HTTPException)
def show_problem(error: HTTPException) -> tuple[str, int]:
    """Report what is wrong with a request."""
    return _problem(error.name, error.description or ""), error.code or 500


def _problem(heading: str, text: str) -> str:
    return page.render("problem.html", heading=heading, text=text, address=Address.read("/events", flask.request.args))
