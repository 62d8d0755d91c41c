"""A process that forks while it serves a request."""

import os

import flask
import pytest

import dashcam


@pytest.fixture
def client():
    app = flask.Flask("forks")
    dashcam.init_app(app)
    log = dashcam.get_logger("forks")

    @app.get("/fork")
    def fork():
        child = os.fork()
        if child == 0:
            log.info("in the child")
            os._exit(0)
        os.waitpid(child, 0)
        return "forked"

    return app.test_client()


def test_the_childs_end_aborts_nothing(recording, client):
    """What a forked child logs belongs to the request, and the request goes on in the parent."""
    client.get("/fork", headers={"X-Request-ID": "forked"})

    story = recording.assert_one_story("forked")

    assert [entry.title for entry in story.entries] == ["GET /fork", "in the child"]
