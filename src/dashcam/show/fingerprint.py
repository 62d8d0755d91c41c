"""The part that is the same in errors that differ only by ids, numbers and values."""

import re
from functools import lru_cache

from dashcam.event import Event
from dashcam.show import accessors

MAX_MESSAGE = 200  # characters of a message that tell it from others

_FOREIGN = re.compile(r"[\\/](?:site-packages|dist-packages|lib[\\/]python\d[\d.]*|Lib)[\\/]|^<")
_FRAME = re.compile(r'File "([^"\n]+)", line (\d+)(?:, in ([^\n]+))?')
_VARIABLE = re.compile(
    r"""(?P<quoted>"[^"\n]*"|(?<!\w)'[^'\n]*'(?!\w)|`[^`\n]*`)"""
    r"|(?P<id>\b(?:0x)?[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b)"
    r"|(?P<number>\b[A-Za-z_]*\d\w*(?:[.:,/-]\w*\d\w*)*)",
    re.ASCII,
)
_SIGNS = {"quoted": "'…'", "id": "<id>", "number": "<n>"}


@lru_cache(maxsize=1024)
def pattern_of(message: str) -> str:
    """Return the first line of a message without its numbers, ids and quoted values.

    >>> pattern_of("car 7f3e0c7a-0b8e-4c4e-9a43-5f0f6d1f2a11 has 3 wheels, not 'four'")
    "car <id> has <n> wheels, not '…'"
    """
    first = message.strip().split("\n", 1)[0]
    return " ".join(_VARIABLE.sub(_sign_of, first[: 4 * MAX_MESSAGE]).split())[:MAX_MESSAGE]


def _sign_of(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    return match[0] if kind == "id" and match[0].isalpha() else _SIGNS[kind]


def place_of(event: Event) -> tuple[str, int | None]:
    """Return the function in one's own code where an error was raised, and its line.

    It is the last frame that is neither the standard library's nor an installed package's; of an error without such a
    frame it is the place of the log call, or else the logger.
    """
    frames = _FRAME.findall(accessors.text(event, "error.stack_trace"))
    own = [frame for frame in frames if not _FOREIGN.search(frame[0])]
    if own:
        path, line, function = own[-1]
        return _named(path, function), int(line)
    if path := accessors.text(event, "log.origin.file.name"):
        function = accessors.text(event, "log.origin.function")
        return _named(path, function), accessors.number(event, "log.origin.file.line")
    return accessors.text(event, "log.logger"), None


def _named(path: str, function: str) -> str:
    # The last two parts, because the folder that a service is installed in differs from host to host.
    short = "/".join(re.split(r"[\\/]", path)[-2:])
    return f"{short} {function}".rstrip()


def type_of(event: Event) -> str:
    """Return the type of an error; a status, which some spans have for one, is none."""
    kind = accessors.text(event, "error.type")
    return "" if kind.isdigit() else kind


def message_of(event: Event) -> str:
    """Return the message of an error, or else of the line."""
    return accessors.text(event, "error.message") or accessors.text(event, "message")
