"""A service that asks another one, and logs from a thread, an executor, and where it is told to from nowhere."""

import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import requests

import dashcam

log = dashcam.get_logger("front")


def create_app():
    app = flask.Flask("front")
    dashcam.init_app(app, "front")

    @app.get("/")
    def ask():
        thread = threading.Thread(target=log.info, args=["in a thread"])
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as executor:
            executor.submit(log.info, "in an executor").result()
        if "astray" in flask.request.args:
            contextvars.Context().run(log.info, "from nowhere")
        answer = requests.get(os.environ["BACK_URL"], params=flask.request.args, timeout=10)
        return answer.text, answer.status_code

    return app
