"""The command line: `dashcam COMMAND`, each command a module of `dashcam.cli.commands`."""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from textwrap import fill
from typing import Any

from dashcam.cli.door import STANDARD_OUTPUT, Door, escaped_output
from dashcam.errors import DashcamError, MissingExtraError, QueryError, SettingsError, StoreUnreachable
from dashcam.extras import missing_extra
from dashcam.version import __version__

OK, NOT_FOUND, USAGE, UNREACHABLE = 0, 1, 2, 3

COMMANDS = {
    "demo": "two services, a shipper and the viewer on this machine",
    "run": "run a command with a shipper beside it",
    "ship": "send what is recorded to the backend",
    "trace": "one request's story, by any ID",
    "search": "events that match a query",
    "tail": "events as they arrive",
    "overview": "requests by service and route, and what changed",
    "errors": "errors in groups, with their trend and newest story",
    "map": "which services, databases and hosts call each other",
    "compare": "two stories side by side, and what differs",
    "watch": "send a notice when a rule is met",
    "mcp": "answers for an agent, on standard input and output",
    "view": "requests, searches and stories in a browser",
    "copy": "events of any store to any backend",
    "audit": "prove that a store has each event, as it was",
    "replay": "send dead letters again, once their cause is fixed",
    "clips": "requests that were kept with all their lines, and why",
    "keep": "ship what is held of a request now",
    "status": "what is recorded, delivered, waiting, dropped",
    "doctor": "check each step to the backend and back",
    "repair": "save what can be read after damage, and go on",
    "cat": "the events of the spool",
    "settings": "every setting, its value and meaning",
    "fake-loggly": "a Loggly on this machine, to try without an account",
    "setup": "prepare Elasticsearch or OpenSearch, and Kibana",
}


_WITH_QUERY = frozenset({"errors", "map", "overview", "search", "tail"})

_WIDTH = 80  # columns of help

_LISTED = "commands (dashcam help COMMAND describes one):\n" + "\n".join(
    f"  {name:{max(map(len, COMMANDS))}}  {meaning}" for name, meaning in COMMANDS.items()
)

_EPILOG = """\
Settings come from the environment (docs/settings.md); LOG_BACKEND chooses where
events go and are found. Exit status: 0 found or done, 1 not found or not in
order, 2 usage or settings, 3 unreachable."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with escaped_output():
            return _run(given)
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; what is still buffered has nowhere to go.
        _drop_output()
        return OK
    except OSError as error:
        if sys.stderr is not None:
            about = error.filename or given[0]
            print(f"dashcam: {about}: {error.strerror or error}", file=Door(sys.stderr, "standard error"))
        if error.filename == STANDARD_OUTPUT:
            _drop_output()
        return NOT_FOUND


def _drop_output() -> None:
    """Let what is buffered for standard output go nowhere, so that Python does not fail on it at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> int:
    if given[:1] == ["help"]:
        given = [*given[1:2], "--help"]
    if given[:1] == ["version"]:
        given[0] = "--version"
    if not given or given[0] not in COMMANDS:
        return _explain(given)
    try:
        command = import_module(f"dashcam.cli.commands.{given[0].replace('-', '_')}")
        # Paragraphs are as wide as a terminal, examples as they are.
        paragraphs = (command.__doc__ or "").strip().split("\n\n")
        text = "\n\n".join(one if "\n  " in one else fill(one, _WIDTH, break_on_hyphens=False) for one in paragraphs)
        parser = _parser(f"dashcam {given[0]}", text)
        command.add_arguments(parser)
        if given[0] in _WITH_QUERY:
            from dashcam.cli.query import protect_minus

            given[1:] = protect_minus(given[1:])
        return int(command.run(parser.parse_args(given[1:])))
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        print(f"dashcam: {missing}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return 130
    except DashcamError as error:
        print(f"dashcam: {error}", file=sys.stderr)
        if isinstance(error, StoreUnreachable):
            return UNREACHABLE
        return USAGE if isinstance(error, SettingsError | QueryError | MissingExtraError) else NOT_FOUND


def _parser(name: str, description: str, **options: Any) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        name,
        description=description,
        epilog=_EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=_WIDTH),
        **options,
    )


def _explain(given: list[str]) -> int:
    """List the commands: on request, or because a command is missing or not known."""
    parser = _parser(
        "dashcam", f"Follow one request through every service.\n\n{_LISTED}", usage="dashcam COMMAND [...]"
    )
    parser.add_argument("--version", action="version", version=f"dashcam {__version__}")
    if given and given[0].startswith("-"):
        parser.parse_known_args(given)
    if given:
        close = get_close_matches(given[0], COMMANDS, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(COMMANDS)}."
        print(f"dashcam: {given[0]!r} is not a command. {hint}", file=sys.stderr)
    else:
        parser.print_help(sys.stderr)
    return USAGE
