"""The rows of a story that may say why it went wrong, the likeliest first."""

from collections.abc import Iterator

from dashcam.show import accessors
from dashcam.show.node import ABORTED, LINE, MISSING, UNFINISHED, Node
from dashcam.show.story import Story

SLOW_SHARE = 0.3  # of the story's time that a span spends by itself

_QUIET = {"debug", "info"}


def rank_causes(story: Story) -> list[tuple[str, Node]]:
    """Return the rows that stand out with a word on each; those that came of others' faults come last.

    An exception comes before a failed span that lies around it, what is deeper before what called it, and what came
    first before what followed.
    """
    found = [(score, word, node) for node in story.entries for score, word in _judge(node, story.duration_ns)]
    ranked = sorted(found, key=lambda one: (-one[0], -one[2].depth, one[2].index))
    return [(word, node) for _, word, node in ranked]


def _judge(node: Node, duration_ns: int) -> Iterator[tuple[int, str]]:
    """Yield the weight of a row and a word on it; nothing for one that does not stand out."""
    level = accessors.level(node.event) if node.event else "info"
    inside_ns = sum(child.duration_ns or 0 for child in node.children)
    if node.state in {ABORTED, MISSING, UNFINISHED}:
        yield (90 if node.state == ABORTED else 55), node.state
    elif node.state == LINE:
        if node.is_error:
            yield (100 if _has_exception(node) else 85), "error"
        elif level not in _QUIET or _has_exception(node):
            yield 65, "warning"
    elif node.is_error:
        yield (40 if node.errors else 80), "failed"
    elif node.duration_ns and node.duration_ns - inside_ns > SLOW_SHARE * duration_ns:
        yield 50, "slow"


def _has_exception(node: Node) -> bool:
    return node.event is not None and bool(accessors.error(node.event))
