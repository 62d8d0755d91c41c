"""The address of a recorded request is the one that werkzeug gives."""

import flask
import pytest
from werkzeug.test import EnvironBuilder

import dashcam

ORDINARY = [
    ("http://127.0.0.1:8000", "/cars/7", ""),
    ("http://cars", "/", ""),
    ("https://cars.example-shop.com", "/cars/a_b-c.d~e", "limit=5&after=x-1"),
    ("http://cars:8080/shop", "/cars/", "limit=5"),
]
OTHERS = [
    ("http://cars:80", "/cars", ""),
    ("https://cars:443", "/", ""),
    ("http://CARS.example.com", "/cars", ""),
    ("http://xn--kfer-5qa.example", "/cars", ""),
    ("http://[::1]:8000", "/cars", ""),
    ("http://cars", "/Käfer", ""),
    ("http://cars", "/a b", "name=VW%20Golf"),
    ("http://cars", "//cars", ""),
    ("http://cars", "/cars", "name=ü"),
    ("http://cars", "/cars", "a[]=1"),
]


@pytest.fixture
def app(recording):
    app = flask.Flask("addresses")
    dashcam.init_app(app)
    return app


@pytest.mark.parametrize(("base", "path", "query"), [*ORDINARY, *OTHERS])
def test_gives_the_same_address_as_werkzeug(app, base, path, query):
    """Whatever is in it, the address is as it is without Dashcam."""
    environ = EnvironBuilder(path, base, query_string=query).get_environ()

    assert app.request_class(environ).url == flask.Request(environ).url


def test_refuses_an_untrusted_host_as_werkzeug_does(app):
    """A host that is not trusted has no address."""
    request = app.request_class(EnvironBuilder("/cars", "http://other").get_environ())
    request.trusted_hosts = ["cars"]

    with pytest.raises(Exception, match="not trusted"):
        request.url  # noqa: B018
