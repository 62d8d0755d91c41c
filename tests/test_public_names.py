"""Every name that users import has an example in its docstring, and the examples run."""

import doctest
import inspect
from dataclasses import dataclass
from pathlib import Path

import flask
import pytest

import dashcam
import dashcam.testing
from dashcam import errors, settings
from dashcam.destinations import checks, destination
from dashcam.find import query
from dashcam.ship import batch

OF_DESTINATIONS = {
    destination: ("Destination", "KeyFile", "Step", "StoryReference", "late"),
    checks: ("Broken", "Check", "Note"),
    batch: ("Backend", "Limits", "PartialResult"),
    errors: ("BackendUnavailable", "BatchRejected"),
    query: ("Query", "Store"),
    settings: ("setting",),
}
NAMES = [
    *((dashcam, name) for name in dashcam.__all__ if name != "__version__"),
    *((dashcam.testing, name) for name in dashcam.testing.__all__),
    *((module, name) for module, names in OF_DESTINATIONS.items() for name in names),
]


@dataclass
class Options:
    """The options of the printer, a destination of the examples."""


@pytest.fixture
def given(recording, loggly_stand_in):
    """The names that an example may use beside those of the module it stands in."""
    garage = flask.Flask("garage")
    garage.add_url_rule("/cars", view_func=lambda: "7 cars")
    dashcam.init_app(garage)
    return {name: getattr(dashcam, name) for name in dashcam.__all__} | {
        "Flask": flask.Flask,
        "Options": Options,
        "Path": Path,
        "Printer": object,
        "client": garage.test_client(),
        "dashcam": dashcam,
        "dataclass": dataclass,
        "get_asgi_application": lambda: garage,
        "get_wsgi_application": lambda: garage,
        "loggly_stand_in": loggly_stand_in,
        "queue": [],
        "recording": recording,
        "total": 20_000,
    }


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{module.__name__}.{name}" for module, name in NAMES])
def test_a_public_name_has_an_example_that_runs(given, module, name):
    """Each line of it does what the docstring says."""
    item = getattr(module, name)
    names = vars(inspect.getmodule(item) or module) | given
    found = doctest.DocTestParser().get_doctest(inspect.getdoc(item), names, name, None, None)
    printed = []

    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(found, out=printed.append)

    assert result.attempted
    assert not result.failed, "".join(printed)
