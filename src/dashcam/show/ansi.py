"""Text for a terminal: made harmless, measured in columns, wrapped, painted.

What a log line holds was chosen by strangers. Written as it is, an escape sequence could move the cursor, hide lines
or set the window's title, and a direction mark could turn a line around; so only what prints is printed.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TextIO

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"

ALARM = "1;37;41"

SERVICE_PAINTS = ("36", "35", "34", "32", "96", "95", "94", "92")


class StyledText(NamedTuple):
    """A piece of text and how it is painted: the numbers of an SGR sequence (ECMA-48, 8.3.117), or nothing."""

    text: str
    paint: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """A way to draw: columns to fill (`None`: as many as it takes), with colours or not, in ASCII alone or not.

    `fold` is the most lines that one text or stack trace may take, where there is a width. Times are UTC, or, with
    `local_time`, of this machine's time zone.
    """

    width: int | None = None
    colour: bool = False
    ascii_only: bool = False
    fold: int = 12
    local_time: bool = False

    def pick(self, drawn: str, plain: str) -> str:
        """A sign, or what stands for it in ASCII."""
        return plain if self.ascii_only else drawn

    def write(self, texts: Iterable[StyledText]) -> str:
        """One line of text, safe to print, without blanks at its end."""
        clean = [StyledText(self.clean(styled.text), styled.paint) for styled in texts]
        if not self.colour:
            return "".join(styled.text for styled in clean).rstrip()
        return "".join(f"\x1b[{paint}m{text}\x1b[0m" if paint and text else text for text, paint in clean).rstrip()

    def wrap(self, texts: Iterable[StyledText], width: int | None) -> Iterator[list[StyledText]]:
        """Chunks in lines of at most so many columns, broken at blanks where that is possible."""
        return wrap((StyledText(self.clean(text), paint) for text, paint in texts), width)

    def clean(self, text: str) -> str:
        """A text in which all that does not print is spelled out."""
        text = escape(text)
        if not self.ascii_only:
            return text
        return text.replace("µ", "u").replace("…", "...").encode("ascii", "backslashreplace").decode()


def style_for(stream: TextIO, width: int | None, *, colour: bool, local_time: bool = False) -> Style:
    """The style a stream can show: ASCII alone unless it encodes in UTF-8."""
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").replace("_", "")
    return Style(width, colour=colour, ascii_only=not encoding.startswith("utf8"), local_time=local_time)


def escape(text: str) -> str:
    r"""A text without control characters, direction marks and other invisible ones: they show as `\x1b`, `\u202e`.

    Blanks of other scripts become plain ones.
    """
    return text if text.isprintable() else "".join(map(_spell_out, text))


def _spell_out(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode()


def columns(text: str) -> int:
    """Return the number of columns of a printable text: wide characters take two, those that combine none."""
    if text.isascii():
        return len(text)
    shown = (character for character in text if not unicodedata.combining(character))
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in shown)


def fit(text: str, width: int) -> str:
    """A text of just so many columns: filled up with blanks, or cut."""
    text = text[:width]
    while columns(text) > width:
        text = text[:-1]
    return text + " " * (width - columns(text))


def wrap(texts: Iterable[StyledText], width: int | None) -> Iterator[list[StyledText]]:
    """Printable chunks in lines of at most so many columns."""
    line: list[StyledText] = []
    free = width or 0
    for word in _words(texts, width):
        taken = sum(columns(part.text) for part in word)
        if width and taken - _blanks(word) > free:
            yield line
            line, free = [], width
        line += word
        free -= taken
    yield line


def _blanks(word: list[StyledText]) -> int:
    return len(word[-1].text) - len(word[-1].text.rstrip())


def _words(texts: Iterable[StyledText], width: int | None) -> Iterator[list[StyledText]]:
    """Yield words, up to a blank, from one text or several; a word too long for a line comes in parts."""
    word: list[StyledText] = []
    for text, paint in texts:
        for part in re.findall(r"\S+\s*|\s+", text) if width else [text]:
            word.append(StyledText(part, paint))
            if part[-1:].isspace():
                yield from _split(word, width)
                word = []
    if word:
        yield from _split(word, width)


def _split(word: list[StyledText], width: int | None) -> Iterator[list[StyledText]]:
    if width is None or sum(columns(part.text) for part in word) - _blanks(word) <= width:
        yield word
        return
    for text, paint in word:
        # Half as many characters as columns always fit, however wide they are.
        step = width if text.isascii() else max(1, width // 2)
        yield from ([StyledText(text[start : start + step], paint)] for start in range(0, len(text), step))


def service_paints(services: Iterable[str]) -> dict[str, str]:
    """A colour for each service, two alike only when there are more services than colours."""
    return {service: SERVICE_PAINTS[index % len(SERVICE_PAINTS)] for index, service in enumerate(services)}
