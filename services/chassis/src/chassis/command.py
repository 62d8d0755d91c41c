"""A service's command line: one word, no options."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

import psycopg2
from werkzeug.exceptions import HTTPException

from chassis.settings import SettingsError


def run(service: str, commands: Mapping[str, Callable[[], str]], words: Sequence[str] | None = None) -> int:
    """Run the command that was typed, print what it gives, and give the exit status.

    0 done, 2 usage or settings, 3 something that was needed cannot be reached.
    """
    parser = argparse.ArgumentParser(prog=service)
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        choices.add_parser(name, help=command.__doc__)
    chosen = commands[parser.parse_args(words).command]
    try:
        print(chosen())  # noqa: T201
    except SettingsError as fault:
        return _complain(str(fault), 2)
    except psycopg2.OperationalError as fault:
        return _complain(f"PostgreSQL cannot be reached: {str(fault).strip()}", 3)
    except HTTPException as fault:
        return _complain(str(fault.description), 3)
    return 0


def _complain(text: str, status: int) -> int:
    print(text, file=sys.stderr)  # noqa: T201
    return status
