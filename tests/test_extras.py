"""`pip install dashcam` is enough to record and for the command; an extra that is missing has a name."""

import re
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, requires

import pytest
from packaging.requirements import Requirement

from dashcam.extras import EXTRAS, missing_extra
from dashcam.record.clients.instrument import LIBRARIES

from .processes import finished

# Makes modules as absent as they are where only some distributions are installed.
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if any((name + ".").startswith(module + ".") for module in {modules!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def _name(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _installed_by(distribution, found):
    """All that `pip install` of a distribution without extras brings."""
    found.add(_name(distribution))
    try:
        needed = [Requirement(each) for each in requires(distribution) or ()]
    except PackageNotFoundError:
        return found
    for each in needed:
        if _name(each.name) not in found and (each.marker is None or each.marker.evaluate({"extra": ""})):
            _installed_by(each.name, found)
    return found


def _hidden():
    """The modules of every installed distribution that `pip install dashcam` alone does not bring."""
    brought = _installed_by("dashcam", set())
    for module, names in packages_distributions().items():
        if module != "opentelemetry" and not brought.intersection(map(_name, names)):
            yield module
    for distribution in distributions():
        name = _name(distribution.metadata["Name"])
        if name.startswith("opentelemetry-") and name not in brought:
            yield name.replace("-", ".", 2).replace("-", "_")


@pytest.fixture(scope="session")
def lean():
    """Code that leaves a program nothing but what `pip install dashcam` brings."""
    return HIDE.format(modules=sorted(set(_hidden()) - {"pip", "setuptools", "_distutils_hack", "pkg_resources"}))


def _run(lean, code, folder, **environment):
    return finished(lean + code, env={"DASHCAM_DIR": str(folder), "HOME": str(folder)} | environment)


COMMAND = "from dashcam.cli import main; sys.exit(main({arguments!r}))"


@pytest.mark.parametrize("absent", ["flask", "requests", "fluent", "ormsgpack", "opentelemetry.instrumentation.flask"])
def test_the_test_hides_libraries(lean, tmp_path, absent):
    """Else the other tests here would prove nothing."""
    done = _run(lean, f"import {absent}", tmp_path)

    assert "ModuleNotFoundError" in done.stderr


def test_a_script_records_and_the_command_finds_it(lean, tmp_path):
    """With no extra: record, ship, search, trace, status."""
    recorded = _run(
        lean,
        "import dashcam, logging\n"
        "dashcam.init('lean')\n"
        "dashcam.get_logger('lean').info('recorded', car_id=7)\n"
        "logging.getLogger('library').warning('recorded too')\n",
        tmp_path,
    )
    assert recorded.returncode == 0, recorded.stderr
    for arguments in (["ship", "--drain"], ["trace", "car_id=7"], ["search", "car_id:7"], ["status"], ["settings"]):
        done = _run(lean, COMMAND.format(arguments=arguments), tmp_path)
        assert done.returncode == 0, done.stderr
        if arguments[0] in {"trace", "search"}:
            assert "recorded  car_id=7" in done.stdout


def test_the_pytest_plugin_needs_no_extra(lean, tmp_path):
    """It is loaded in every pytest run of whoever has installed the package."""
    done = _run(lean, "import dashcam.testing, importlib.metadata", tmp_path)

    # pytest itself is what loads it.
    assert "named 'pytest'" in done.stderr or done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["view", "--port", "0"], {}, "pip install 'dashcam[view]'"),
        (["ship", "--drain"], {"LOG_BACKEND": "loggly", "LOGGLY_TOKEN": "t"}, "pip install 'dashcam[loggly]'"),
        (["ship", "--drain"], {"LOG_BACKEND": "elk"}, "pip install 'dashcam[elk]'"),
        (["search", "a"], {"LOG_BACKEND": "elasticsearch"}, "pip install 'dashcam[elk]'"),
        (["setup", "elk"], {}, "pip install 'dashcam[elk]'"),
    ],
)
def test_a_command_names_the_missing_extra(lean, tmp_path, arguments, environment, expected):
    """One sentence with the `pip` line, and no traceback."""
    _run(lean, "import dashcam; dashcam.init('lean'); dashcam.get_logger('lean').info('m')", tmp_path)
    done = _run(lean, COMMAND.format(arguments=arguments), tmp_path, **environment)

    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_extra_is_installable():
    """A sentence names no extra that the package does not have."""
    known = {Requirement(each).marker and str(Requirement(each).marker) for each in requires("dashcam")}

    assert {f'extra == "{extra}"' for extras in EXTRAS.values() for extra in extras} <= known


def test_a_module_of_others_is_not_explained():
    """An application's own missing module stays its own error."""
    assert missing_extra(ModuleNotFoundError(name="flask_cors")) is None
    assert missing_extra(ModuleNotFoundError("no name")) is None


def test_init_app_names_the_missing_extra(tmp_path):
    """Flask without OpenTelemetry's package for it: the error has the `pip` line."""
    without = HIDE.format(modules=["opentelemetry.instrumentation.flask"])
    done = _run(without, "import dashcam, flask; dashcam.init_app(flask.Flask('garage'))", tmp_path)

    assert done.stderr.splitlines()[-1].endswith("Run: pip install 'dashcam[flask]'")


ASGI = "async def app(scope, receive, send): pass"


@pytest.mark.parametrize(
    ("package", "call", "extra"),
    [
        ("wsgi", "dashcam.wsgi(lambda *_: [])", "wsgi"),
        ("asgi", "dashcam.asgi(app)", "asgi"),
        ("asgi", "dashcam.init_app(app)", "asgi"),
        ("asgi", "import fastapi; dashcam.init_app(fastapi.FastAPI())", "asgi"),
    ],
)
def test_each_door_names_the_missing_extra(tmp_path, package, call, extra):
    """The same for any other application."""
    without = HIDE.format(modules=[f"opentelemetry.instrumentation.{package}"])
    done = _run(without, f"import dashcam\n{ASGI}\n{call}", tmp_path)

    assert f"pip install 'dashcam[{extra}]'" in done.stderr.splitlines()[-1]


NAMED = sorted(name for name, library in LIBRARIES.items() if library.is_named_if_missing)


@pytest.mark.parametrize("name", NAMED)
def test_a_client_library_names_the_missing_extra(lean, tmp_path, name):
    """A warning in the record of the service that imports it."""
    without = HIDE.format(modules=["opentelemetry.instrumentation.dbapi", *map(_package, NAMED)])
    done = _run(without, f"import dashcam; dashcam.init('garage'); import {name}", tmp_path)
    assert done.returncode == 0, done.stderr

    said = _run(lean, COMMAND.format(arguments=["cat"]), tmp_path).stdout
    assert f"pip install 'dashcam[{LIBRARIES[name].extra}]'" in said


def _package(name):
    return f"opentelemetry.instrumentation.{'aiohttp_client' if name == 'aiohttp' else name}"
