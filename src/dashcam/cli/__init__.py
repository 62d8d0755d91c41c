"""The command line: `dashcam COMMAND`, each command a module of `dashcam.cli`."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dashcam.errors import DashcamError, MissingExtraError, QueryError, SettingsError, StoreUnreachable
from dashcam.extras import missing_extra
from dashcam.version import __version__

OK, NOT_FOUND, USAGE, UNREACHABLE = 0, 1, 2, 3

COMMANDS = {
    "demo": "a car request through two services on this machine, from start to story",
    "run": "run a command with a shipper beside it",
    "ship": "bring what is recorded to the backend",
    "trace": "one request's story, by any id",
    "search": "events that match a query",
    "tail": "events as they come",
    "view": "requests, searches and stories in a browser",
    "copy": "history from any store to any backend",
    "replay": "dead letters once more, after their cause was mended",
    "status": "recorded, delivered, waiting, dead-lettered, dropped",
    "doctor": "each step of the way to the backend and back, and what is wrong with it",
    "cat": "the lines of the spool",
    "settings": "every setting, its value and meaning",
    "loggly-stand-in": "play Loggly on this machine, to try hosted mode with no account",
    "setup": "Elasticsearch or OpenSearch, and Kibana, made ready for events",
}

_MODULES = {
    "trace": "story",
    "copy": "copying",
    "loggly-stand-in": "fake_loggly",
}  # whose own name can be none of a module

_LISTED = "commands (dashcam COMMAND --help tells more):\n" + "\n".join(
    f"  {name:{max(map(len, COMMANDS))}}  {meaning}" for name, meaning in COMMANDS.items()
)

_EPILOG = """\
settings come from the environment (docs/settings.md); LOG_BACKEND chooses where events go and are found.
exit status: 0 found or done, 1 not found or not well, 2 usage or settings, 3 unreachable."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in COMMANDS:
        return _explain(given)
    try:
        return _run(given)
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        print(f"dashcam: {missing}", file=sys.stderr)
        return USAGE


def _run(given: Sequence[str]) -> int:
    command = import_module(f"dashcam.cli.{_MODULES.get(given[0], given[0])}")
    parser = argparse.ArgumentParser(
        f"dashcam {given[0]}",
        description=command.__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    try:
        return int(command.run(parser.parse_args(given[1:])))
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"dashcam: {error.filename or given[0]}: {error.strerror or error}", file=sys.stderr)
        return NOT_FOUND
    except DashcamError as error:
        print(f"dashcam: {error}", file=sys.stderr)
        return _status_of(error)


def _status_of(error: DashcamError) -> int:
    match error:
        case SettingsError() | QueryError() | MissingExtraError():
            return USAGE
        case StoreUnreachable():
            return UNREACHABLE
    return NOT_FOUND


def _explain(given: list[str]) -> int:
    """Tell what there is: asked for, or because what was asked for is not there."""
    parser = argparse.ArgumentParser(
        "dashcam",
        usage="dashcam COMMAND [...]",
        description=f"Follow one request through every service.\n\n{_LISTED}",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dashcam {__version__}")
    if given:
        parser.parse_known_args(given)
        print(f"dashcam: {given[0]!r} is not a command. Known: {', '.join(COMMANDS)}.", file=sys.stderr)
    else:
        parser.print_help(sys.stderr)
    return USAGE
