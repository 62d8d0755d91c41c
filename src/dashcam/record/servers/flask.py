"""Records a Flask application: a request ID for every request, a server span, unhandled errors once.

`record.wsgi` does what is the same for every WSGI application; Flask adds the route, and exceptions that it answers.
The server span has the name, the attributes and the settings of `opentelemetry-instrumentation-flask`. Where a service
measures, the package's metrics go on. See docs/decisions/0005.
"""

import weakref
from collections.abc import Callable
from inspect import getclosurevars
from typing import TYPE_CHECKING, Any, TypeVar, cast

import flask
import opentelemetry.instrumentation.flask as otel_flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor, get_default_span_name
from opentelemetry.trace import Tracer
from werkzeug.exceptions import HTTPException

from dashcam.record.context.correlation import is_request_id
from dashcam.record.context.current import attach, detach
from dashcam.record.context.service import Service
from dashcam.record.logs import unhandled
from dashcam.record.servers.response import HEADER_KEY
from dashcam.record.servers.server import server_tracer
from dashcam.record.servers.wsgi import SERVER_SPAN, Options, RecordedApp
from dashcam.record.spans.recording import record_tracer
from dashcam.record.spans.tracer import measures

if TYPE_CHECKING:
    from werkzeug.routing import Rule

_Step = TypeVar("_Step")
_BY_HAND = "dashcam.begun_by_hand"  # where an environment holds the context whose span began without a server


def instrument(app: flask.Flask, *, service: Service | None = None, is_caller_trusted: bool) -> None:
    """Record every request of an application; a second call changes nothing."""
    if "dashcam" in app.extensions:
        return
    app.extensions["dashcam"] = True
    served = _without_cycle(app, "wsgi_app")
    before, teardown = list(app.before_request_funcs[None]), list(app.teardown_request_funcs[None])
    given = _given_to_package(app)
    has_package = bool(given) or measures()
    if given:  # its own steps would make a second span
        before, teardown = _without_package(before), _without_package(teardown)
        record_tracer(given["tracer"])
    else:
        # It marks the application, and measures; the spans are ours, from the request to the body's end.
        FlaskInstrumentor().instrument_app(app, enable_commenter=False)  # type: ignore[no-untyped-call]
        app._original_wsgi_app = served  # type: ignore[attr-defined]  # noqa: SLF001 - the package holds it here
        if not has_package:
            app.wsgi_app = served  # type: ignore[method-assign]
    options = Options(service, is_caller_trusted, "flask", has_package, given.get("excluded_urls"))
    recorded = RecordedApp(app.wsgi_app, given.get("tracer") or server_tracer(otel_flask), options)
    app.wsgi_app = recorded  # type: ignore[method-assign]
    app.before_request_funcs[None], app.teardown_request_funcs[None] = before, teardown
    _add_steps(app, _Steps(recorded, has_package=has_package, request_hook=given.get("request_hook")))
    flask.got_request_exception.connect(_record_error, app)


def _without_package(steps: list[_Step]) -> list[_Step]:
    return [step for step in steps if getattr(step, "__module__", "") != otel_flask.__name__]


def _given_to_package(app: flask.Flask) -> dict[str, Any]:
    """Return what OpenTelemetry's package was given with an application that it records; empty for another one.

    There is no public way: the package keeps it in the closure of its step before a request.
    """
    step = getattr(app, "_before_request", None)
    if not getattr(app, "_is_instrumented_by_opentelemetry", False) or step not in app.before_request_funcs[None]:
        return {}
    known = dict(getclosurevars(step).nonlocals)
    return known if isinstance(known.get("tracer"), Tracer) else {}


def _without_cycle(app: flask.Flask, name: str) -> Callable[..., Any]:
    """Return a method of the application without holding the application, which Flask frees with its last name.

    The class is asked at each call: other packages put their own wrappers around its methods, also later.
    """
    if name in vars(app):
        return cast("Callable[..., Any]", getattr(app, name))  # somebody's wrapper holds it anyway
    kind, known = type(app), weakref.ref(app)

    def call(*arguments: Any) -> Any:
        return getattr(kind, name)(known(), *arguments)  # whoever calls holds the application

    return call


def _add_steps(app: flask.Flask, steps: "_Steps") -> None:
    """Have the steps of a request run around Flask's own ones, which belong to the request and may answer it.

    Of a function among those before and after a request, Flask asks each time whether it is a coroutine.
    """
    preprocess, handle = _without_cycle(app, "preprocess_request"), _without_cycle(app, "handle_exception")

    def preprocess_request(*arguments: Any) -> Any:
        steps.begin()
        return preprocess(*arguments)

    def handle_exception(*arguments: Any) -> Any:
        try:
            return handle(*arguments)
        finally:
            steps.keep(arguments[-1])

    app.preprocess_request = preprocess_request  # type: ignore[method-assign]
    app.handle_exception = handle_exception  # type: ignore[assignment, method-assign]


class _Steps:
    """The steps of a request: they put the route on its span, and the error that Flask answers."""

    def __init__(self, app: RecordedApp, *, has_package: bool, request_hook: Callable[..., None] | None) -> None:
        self._app = app
        self._has_package = has_package
        self._request_hook = request_hook
        self._names: dict[tuple[str, str], str] = {}  # one for each route and each method that it allows

    def begin(self) -> None:
        """Put the route on the request's span; in a context that somebody pushed by hand, begin the span here."""
        at = flask.globals.request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        environ, rule = at.request.environ, at.request.url_rule
        if SERVER_SPAN not in environ:
            self._begin_by_hand(at)
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

    def _begin_by_hand(self, at: Any) -> None:
        environ = at.request.environ
        carried = environ.get(HEADER_KEY, "")
        server = self._app.begin(environ, carried if is_request_id(carried) else "")
        environ[_BY_HAND] = weakref.ref(at), attach(server.context)
        functions = at.app.teardown_request_funcs
        if self._end not in functions[None]:  # the last to run, of a new list: a thread may go through the former one
            functions[None] = [self._end, *functions[None]]

    def _name_of(self, rule: "Rule", method: str) -> str:
        name = str(get_default_span_name())  # type: ignore[no-untyped-call]
        if method in (rule.methods or ()):
            self._names[rule.rule, method] = name
        return name

    def keep(self, error: BaseException) -> None:
        """Keep the error that no handler took for the span of the request, which describes the answer first."""
        if server := flask.request.environ.get(SERVER_SPAN):
            server.answered_error = error

    def _end(self, error: BaseException | None) -> None:
        """End the span of a context that somebody pushed by hand."""
        at = flask.globals.request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
        began_at, token = at.request.environ.get(_BY_HAND, (tuple, None))
        if began_at() is not at:  # a copy, for another thread: the request goes on
            return
        server = at.request.environ[SERVER_SPAN]
        if error is not None and not isinstance(error, GeneratorExit):  # a generator that nobody wants any more
            server.fail(error)
        detach(token)
        server.end()


def _record_error(_: flask.Flask, exception: object = None, **__: Any) -> None:
    """Flask sends this for each error that no handler takes; flask-restful also for each answer below 500."""
    if isinstance(exception, HTTPException) and (exception.code or 500) < 500:
        return
    unhandled.record(exception)
