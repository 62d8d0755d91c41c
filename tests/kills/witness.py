"""A service that tells a second, independent witness what it did: a file to which each step is written at once.

The file is opened for appending and each step is one `write`, so what stands in it happened, whoever was killed.
"""

import os
import random
import threading

import flask

import dashcam

STEPS = 5

log = dashcam.get_logger("witness")


def create_app():
    app = flask.Flask("witness")
    dashcam.init_app(app, "witness")
    file = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def swear(what):
        os.write(file, f"{what}\n".encode())

    @app.get("/work")
    def work():
        request = dashcam.request_id()
        swear(f"begun {request}")
        for step in range(STEPS):
            log.info("step", step=f"{request}/{step}", thread=threading.get_ident())
            swear(f"logged {request}/{step}")
            threading.Event().wait(random.uniform(0, 0.01))  # long enough to be killed in
        return {"request": request}

    @app.get("/ready")
    def ready():
        return {"pid": os.getpid()}

    return app
