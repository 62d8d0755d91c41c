"""The drawings in golden/: which story each shows, and how wide. `python -m tests.show.drawings` draws them anew."""

from pathlib import Path

from dashcam.show.ansi import Style
from dashcam.show.story import build_story
from dashcam.show.terminal import draw

from . import events

GOLDEN = Path(__file__).parent / "golden"

WIDE = Style(width=120)

DRAWINGS = {
    "created": (events.created, WIDE),
    "created-80": (events.created, Style(width=80)),
    "created-48": (events.created, Style(width=48)),
    "created-ascii": (events.created, Style(width=100, ascii_only=True)),
    "created-colour": (events.created, Style(width=120, colour=True)),
    "failed": (events.failed, WIDE),
    "failed-80": (events.failed, Style(width=80)),
    "failed-folded": (events.failed, Style(width=120, fold=4)),
    "failed-colour": (events.failed, Style(width=120, colour=True)),
    "aborted": (events.aborted, WIDE),
    "skewed": (events.skewed, WIDE),
    "orphaned": (events.orphaned, WIDE),
    "unfinished": (events.unfinished, WIDE),
    "called-from-outside": (events.called_from_outside, WIDE),
    "two-roots": (events.two_roots, WIDE),
    "two-traces": (events.two_traces, WIDE),
    "traceless": (events.traceless, WIDE),
    "hostile": (events.hostile, WIDE),
    "hostile-ascii": (events.hostile, Style(width=100, ascii_only=True)),
}


def drawing(name: str) -> str:
    """One drawing as text."""
    make, style = DRAWINGS[name]
    return "".join(f"{line}\n" for line in draw(build_story(make()), style))


if __name__ == "__main__":
    for name in DRAWINGS:
        (GOLDEN / f"{name}.txt").write_text(drawing(name), encoding="utf-8")
