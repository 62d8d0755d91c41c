"""A pytest plug-in that turns Dashcam on for somebody else's tests, as their service would: `-p with_dashcam`."""

import dashcam


def pytest_configure():
    dashcam.init("foreign")
    try:
        import flask
    except ImportError:
        return
    plain = flask.Flask.__init__

    def with_recording(app, *args, **options):
        plain(app, *args, **options)
        if type(app) is flask.Flask:  # a subclass of a test may not be complete yet
            dashcam.init_app(app)

    flask.Flask.__init__ = with_recording
