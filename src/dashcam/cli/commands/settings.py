"""Show every setting: its value here, its default, and what it means. Secrets are masked.

With --markdown, print the page docs/settings.md, which has no values.
"""

import argparse
from collections.abc import Iterator

import orjson

from dashcam.cli import OK
from dashcam.destinations.registry import every_setting, load_settings
from dashcam.settings import in_force

_PAGE = """\
# Settings

All settings are environment variables. `dashcam settings` shows the current values.

If a value cannot be used, or a `DASHCAM_*` name is not listed here, a command stops at its start with exit status 2,
and one message lists all faults. A service does not stop: it uses the default, and records a warning. Names that
Kubernetes and Docker make for a service called dashcam, such as `DASHCAM_SERVICE_HOST`, are ignored.

| variable | default | meaning |
|---|---|---|"""

_OTHERS = """
Dashcam also reads these variables as OpenTelemetry defines them: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`
(`service.version`, `service.instance.id`, `deployment.environment.name`), `OTEL_TRACES_SAMPLER`,
`OTEL_PYTHON_FLASK_EXCLUDED_URLS`. If a value would make OpenTelemetry stop the service, such as a propagator that is
not installed, Dashcam ignores the variable, with a warning.

The demo's services have settings of their own: [cars](../services/cars/README.md),
[parts](../services/parts/README.md). `dashcam settings --markdown` prints this page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object: variable to value")
    parser.add_argument("--markdown", action="store_true", help="print the page of the documentation")


def run(arguments: argparse.Namespace) -> int:
    """Print the settings."""
    if arguments.markdown:
        print("\n".join(page()))
        return OK
    load_settings()
    values = {field.metadata["variable"]: in_force(field) for field in every_setting()}
    if arguments.json:
        print(orjson.dumps(values).decode())
        return OK
    for field in every_setting():
        value = values[field.metadata["variable"]]
        print(f"{field.metadata['variable']}={value}" + ("" if value == field.metadata["default"] else "  (set)"))
        print(f"    {field.metadata['meaning']}")
    return OK


def page() -> Iterator[str]:
    """The lines of docs/settings.md."""
    yield _PAGE
    for field in every_setting():
        default = f"`{field.metadata['default']}`" if field.metadata["default"] else "-"
        yield f"| `{field.metadata['variable']}` | {default} | {field.metadata['meaning']} |"
    yield _OTHERS
