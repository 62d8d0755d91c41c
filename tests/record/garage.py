"""A Flask application that does what tests ask of it."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import flask_restful
from werkzeug.exceptions import BadGateway

import dashcam

log = dashcam.get_logger("garage")


class Refusal(Exception):
    """An error that the application handles."""


def create_app(**config):
    """An application recorded as the service garage; its first step was there before the recording."""
    app = flask.Flask("garage")
    app.config.update(config)

    @app.before_request
    def check_visitor():
        log.info("checks the visitor")
        return ("go away", 401) if "stranger" in flask.request.args else None

    dashcam.init_app(app, "garage")
    app.errorhandler(Refusal)(lambda error: (str(error), 409))
    for endpoint in (
        car,
        fail,
        fail_in_thread,
        abort,
        refuse,
        stream,
        stream_in_context,
        threads,
        own_header,
        odd_status,
    ):
        app.add_url_rule(f"/{endpoint.__name__}", view_func=endpoint, methods=["GET", "POST"])
    flask_restful.Api(app).add_resource(Resource, "/resource")
    return app


def car():
    log.info("shows a car")
    return {"request": dashcam.request_id()}


def fail():
    raise ValueError("no wheel")


def fail_in_thread():
    def work():
        raise ValueError("no wheel in a thread")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return "ok"


def abort():
    flask.abort(int(flask.request.args["status"]))


def refuse():
    raise Refusal("not this one")


def stream():
    def parts():
        for number in range(3):
            log.info("sends a part", number=number)
            yield f"{number}\n"

    return flask.Response(parts())


def stream_in_context():
    def parts():
        log.info("sends", path=flask.request.path)
        yield "part\n"
        log.info("ends")

    return flask.Response(flask.stream_with_context(parts()))


def threads():
    thread = threading.Thread(target=log.info, args=("in a thread",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(log.info, ["in an executor", "in an executor"]))
        executor.submit(logging.getLogger("library").warning, "a library in an executor")
    return "ok"


def own_header():
    return "ok", 200, {"x-request-id": "another"}


def odd_status():
    return flask.Response("odd", status="odd")


class Resource(flask_restful.Resource):
    """What flask-restful makes of errors."""

    def get(self):
        raise ValueError("no wheel in a resource")

    def post(self):
        flask_restful.abort(409, message="not this one")

    def put(self):
        raise BadGateway("no parts")
