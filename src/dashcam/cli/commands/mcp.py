"""Answer an agent's questions: a read-only server of the Model Context Protocol on standard input and output.

Examples:
  dashcam mcp
  claude mcp add dashcam -- dashcam mcp
  LOG_BACKEND=elasticsearch ELASTICSEARCH_URL=http://127.0.0.1:9200 dashcam mcp

The agent starts it and stops it. It has five tools over the store of LOG_BACKEND: overview, errors, story, search and
doctor. An answer has at most 8,000 tokens, most have 2,000; it ends with how to get more. Text that services logged is
marked as data, without invisible characters.

"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout

from dashcam.cli import OK
from dashcam.cli.commands.doctor import findings
from dashcam.cli.door import Door
from dashcam.cli.period import moment
from dashcam.cli.query import parse_words
from dashcam.destinations.registry import load_settings, open_store
from dashcam.mcp.protocol import Server
from dashcam.mcp.tools import INSTRUCTIONS, Source, make_tools
from dashcam.version import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no argument: everything is a setting."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - it has none
    """Serve until the agent goes."""
    settings = load_settings()
    source = Source(
        open_store=lambda: open_store(settings.routes[0]),
        parse=lambda text: parse_words([text]),
        read_time=_read_time,
        examine=_examine,
    )
    server = Server("dashcam", __version__, INSTRUCTIONS, make_tools(source))
    output = sys.stdout.stream if isinstance(sys.stdout, Door) else sys.stdout
    with redirect_stdout(sys.stderr):  # nothing but answers may come between them
        server.serve(sys.stdin.buffer, output.buffer)
    return OK


def _read_time(text: str) -> int:
    try:
        return moment(text)
    except argparse.ArgumentTypeError as fault:
        raise ValueError(str(fault)) from None


def _examine() -> Iterator[str]:
    for route, finding in findings(load_settings(), None):
        mark = ("note" if finding.fix else "ok") if finding.is_well else "BROKEN"
        fix = f" Fix: {finding.fix}" if finding.fix else ""
        yield f"{mark} {route} {finding.way} {finding.hop}: {finding.seen}{fix}"
