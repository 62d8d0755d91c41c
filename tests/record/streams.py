"""A Flask application that gunicorn serves: slow, streaming, without an end."""

import time

import flask

import dashcam

log = dashcam.get_logger("streams")


def create_app():
    app = flask.Flask("streams")
    dashcam.init_app(app, "streams")

    @app.get("/hang")
    def hang():
        time.sleep(100)
        return "never"

    @app.get("/stream")
    def stream():
        def parts():
            for number in range(int(flask.request.args["parts"])):
                log.info("sends", number=number)
                yield b"x" * 100_000

        return flask.Response(flask.stream_with_context(parts()))

    @app.get("/broken")
    def broken():
        def parts():
            yield b"part"
            raise ValueError("no wheel")

        return flask.Response(parts())

    @app.get("/file")
    def file():
        return flask.send_file(__file__)

    return app
