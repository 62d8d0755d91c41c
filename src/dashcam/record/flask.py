"""Records a Flask application: a request ID for every request, a server span, unhandled errors once.

`record.wsgi` does what is the same for every WSGI application; Flask adds the route, and exceptions that it answers.
The server span has the name, the attributes and the settings of `opentelemetry-instrumentation-flask`. Where a service
measures, the package's metrics go on. See docs/decisions/0005.
"""

import weakref
from collections.abc import Callable
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any, cast

import flask
import opentelemetry.instrumentation.flask as otel_flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor, get_default_span_name
from opentelemetry.trace import Tracer
from werkzeug.exceptions import HTTPException

from dashcam.record import unhandled
from dashcam.record.correlation import is_request_id
from dashcam.record.current import attach, detach
from dashcam.record.recorder import Service
from dashcam.record.server import server_tracer
from dashcam.record.spans import record_tracer
from dashcam.record.tracer import measures
from dashcam.record.wsgi import HEADER_KEY, SERVER_SPAN, Options, RecordedApp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from werkzeug.routing import Rule

_OPEN = "dashcam.open_request"


def instrument(app: flask.Flask, *, service: Service | None = None, is_caller_trusted: bool) -> None:
    """Record every request of an application; a second call changes nothing."""
    if "dashcam" in app.extensions:
        return
    app.extensions["dashcam"] = True
    served = _without_cycle(app)
    before, teardown = list(app.before_request_funcs[None]), list(app.teardown_request_funcs[None])
    given = _given_to_package(app)
    has_package = bool(given) or measures()
    if given:  # its own steps would make a second span
        before.remove(app._before_request)  # type: ignore[attr-defined]  # noqa: SLF001 — the package holds them here
        teardown.remove(app._teardown_request)  # type: ignore[attr-defined]  # noqa: SLF001
        record_tracer(given["tracer"])
    else:
        # It marks the application, and measures; the spans are ours, from the request to the body's end.
        FlaskInstrumentor().instrument_app(app, enable_commenter=False)  # type: ignore[no-untyped-call]
        app._original_wsgi_app = served  # type: ignore[attr-defined]  # noqa: SLF001 - the package holds it here
        if not has_package:
            app.wsgi_app = served  # type: ignore[assignment]
    options = Options(service, is_caller_trusted, "flask", has_package, given.get("excluded_urls"))
    recorded = RecordedApp(app.wsgi_app, given.get("tracer") or server_tracer(otel_flask), options)
    app.wsgi_app = recorded  # type: ignore[method-assign]
    steps = _Steps(recorded, has_package=has_package, request_hook=given.get("request_hook"))
    # First and last: what the application does before and after its requests belongs to them, and may answer them.
    # What looks at the values of a URL comes first of all, and Flask does not ask whether it is a coroutine.
    app.url_value_preprocessors[None].insert(0, steps.begin)
    app.before_request_funcs[None] = before
    app.teardown_request_funcs[None] = [steps.end, *teardown]
    flask.got_request_exception.connect(_record_error, app)


def _given_to_package(app: flask.Flask) -> dict[str, Any]:
    """Return what OpenTelemetry's package was given with an application that it records; empty for another one.

    There is no public way: the package keeps it in the closure of its step before a request.
    """
    step = getattr(app, "_before_request", None)
    if not getattr(app, "_is_instrumented_by_opentelemetry", False) or step not in app.before_request_funcs[None]:
        return {}
    known = dict(getclosurevars(step).nonlocals)
    return known if isinstance(known.get("tracer"), Tracer) else {}


def _without_cycle(app: flask.Flask) -> "WSGIApplication":
    """Return the application's `wsgi_app` without holding the application, which Flask frees with its last name."""
    served: Any = app.wsgi_app
    if getattr(served, "__self__", None) is not app:
        return cast("WSGIApplication", served)  # somebody's middleware holds it anyway
    method, known = served.__func__, weakref.ref(app)

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        answer: Iterable[bytes] = method(known(), environ, start_response)  # whoever calls holds the application
        return answer

    return serve


class _Steps:
    """The steps before and after a request: they put the route on its span, and the error that Flask answers."""

    def __init__(self, app: RecordedApp, *, has_package: bool, request_hook: Callable[..., None] | None) -> None:
        self._app = app
        self._has_package = has_package
        self._request_hook = request_hook
        self._names: dict[tuple[str, str], str] = {}  # one for each route and each method that it allows

    def begin(self, *_: object) -> None:
        """Put the route on the request's span; in a context that somebody pushed by hand, begin the span here."""
        at = flask.globals.request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        environ, rule, token = at.request.environ, at.request.url_rule, None
        if SERVER_SPAN not in environ:
            carried = environ.get(HEADER_KEY, "")
            server = self._app.begin(environ, carried if is_request_id(carried) else "")
            token = attach(server.context)
        server = environ[SERVER_SPAN]
        if server is None:  # the URL is excluded
            return
        if rule is not None:
            method = environ["REQUEST_METHOD"]
            server.set_route(self._names.get((rule.rule, method)) or self._name_of(rule, method), rule.rule)
        if self._has_package:
            environ[otel_flask._ENVIRON_SPAN_KEY] = server.span  # noqa: SLF001
        if self._request_hook:
            self._request_hook(server.span, environ)
        environ[_OPEN] = weakref.ref(at), token

    def _name_of(self, rule: "Rule", method: str) -> str:
        name = str(get_default_span_name())  # type: ignore[no-untyped-call]
        if method in (rule.methods or ()):
            self._names[rule.rule, method] = name
        return name

    def end(self, error: BaseException | None) -> None:
        """Put the error on the span that the application let through; end the span if it was begun here."""
        at = flask.globals.request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        environ = at.request.environ
        began_at, token = environ.get(_OPEN, (tuple, None))
        if began_at() is not at:  # a copy, for another thread: the request goes on
            return
        if error is not None and not isinstance(error, GeneratorExit):  # how a body ends that nobody wants any more
            environ[SERVER_SPAN].fail(error)
        if token:
            detach(token)
            environ[SERVER_SPAN].end()


def _record_error(_: flask.Flask, exception: object = None, **__: Any) -> None:
    """Flask sends this for each error that no handler takes; flask-restful also for each answer below 500."""
    if isinstance(exception, HTTPException) and (exception.code or 500) < 500:
        return
    unhandled.record(exception)
