"""A service that answers, dies when it is told to, and records nothing when its environment says so."""

import os
import signal

import flask

import dashcam

log = dashcam.get_logger("back")


def create_app():
    app = flask.Flask("back")
    if "UNRECORDED" not in os.environ:
        dashcam.init_app(app, "back")

    @app.get("/")
    def answer():
        log.info("answering")
        if "die" in flask.request.args:
            os.kill(os.getpid(), signal.SIGKILL)
        return "answer"

    return app
