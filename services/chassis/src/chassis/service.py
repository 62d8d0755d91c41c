"""A Flask app with what every service needs."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import flask_restful
from flask import Flask

import dashcam
from chassis.body import MAX_BODY_BYTES
from chassis.deadline import within
from chassis.health import Check, add_health
from chassis.problems import answer_problems


class Api(flask_restful.Api):
    """Flask-RESTful's, with errors left to the app, so that all of them are answered in one shape."""

    def error_router(self, original_handler: Callable[[Exception], Any], e: Exception) -> Any:
        return original_handler(e)


def create_service(name: str, checks: Mapping[str, Check], deadline_s: float) -> tuple[Flask, Api]:
    """The app of an installed distribution, recorded, and its API, each of whose requests gets `deadline_s` seconds."""
    app = Flask(name)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    dashcam.init_app(app, version=version(name))
    answer_problems(app)
    add_health(app, checks)
    return app, Api(app, decorators=[within(deadline_s)])
