"""The one door to the terminal: nothing that a stranger wrote can act on it.

Whatever a command prints, an error of argparse or a line of the log included, may hold a name in a spool or a reason of
a server. `escaped_output` lets no control character of it through but those of a drawing, whose texts are escaped.
"""

import errno
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

STANDARD_OUTPUT = "standard output"

_HARMLESS = b"\n" + bytes(range(0x20, 0x7F))


class Door:
    """A text stream that writes nothing a terminal would act on; `write_drawn` is for what is escaped already.

    An escape is one of JSON's, so that a JSON line stays what it was. All else is the stream's own, which `stream` is.
    Raises `OSError` with its name, but `BrokenPipeError` for a pipe that nobody reads.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream = stream
        self._name = name
        self._fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        r"""Write a text, its control characters, direction marks and other invisible ones as `\u001b`."""
        # Bytes of ASCII are left out at memory speed: `isprintable` looks up each character.
        others = text.encode("utf-8", "surrogatepass").translate(None, _HARMLESS)
        is_plain = others.decode("utf-8", "surrogatepass").isprintable()
        return self.write_drawn(text if is_plain else re.sub(r"[^\n\t -~]", _escape, text))

    def write_drawn(self, text: str) -> int:
        """Write a text in which only the drawing's own colours are control characters."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            raise
        except OSError as fault:
            raise self._named(fault) from None

    def flush(self) -> None:
        """Write what is buffered; raises the fault of a former write again, which argparse keeps to itself."""
        if self._fault:
            raise self._fault
        try:
            self.stream.flush()
        except BrokenPipeError:
            raise
        except OSError as fault:
            raise self._named(fault) from None

    def _named(self, fault: OSError) -> OSError:
        self._fault = OSError(fault.errno, fault.strerror, self._name)
        return self._fault


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


@contextmanager
def escaped_output() -> Iterator[None]:
    """Put the door before standard output and standard error; raises `OSError` where standard output is closed."""
    output, errors = sys.stdout, sys.stderr
    if output is None:
        raise OSError(errno.EBADF, "it is closed", STANDARD_OUTPUT)
    sys.stdout = Door(output, STANDARD_OUTPUT)
    sys.stderr = Door(errors or open(os.devnull, "w"), "standard error")  # noqa: SIM115, PTH123
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # also where argparse has printed help and ends the process
    finally:
        sys.stdout, sys.stderr = output, errors
