"""The drawing of a service map: where its places stand, and the lines between them."""

from collections import defaultdict
from dataclasses import dataclass

from dashcam.show.service_map import Calls, Place, ServiceMap

BOX_WIDTH, BOX_HEIGHT = 150, 40
COLUMN, ROW = 260, 64
"""The distance from one box to the next, to the right and downwards."""

MARGIN, LEFT = 12, 64
MAX_NAME = 20  # characters that fit into a box


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the drawing, by its upper left corner."""

    place: Place
    x: int
    y: int

    @property
    def label(self) -> str:
        """The name, as much of it as fits."""
        name = self.place.name
        return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


@dataclass(frozen=True, slots=True)
class Arrow:
    """The calls between two boxes: the path of the line, and where its figures stand."""

    calls: Calls
    path: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """All boxes and arrows, and the size of the whole."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int


def draw(found: ServiceMap) -> Drawing:
    """Return the drawing of a map: callers to the left, the places of a column near those that call them."""
    rows = _rows(found)
    boxes = {place: Box(place, LEFT + COLUMN * column, MARGIN + ROW * row) for place, (column, row) in rows.items()}
    arrows = tuple(_arrow(edge, boxes[edge.source], boxes[edge.target]) for edge in found.calls)
    width = max((box.x for box in boxes.values()), default=0) + BOX_WIDTH + MARGIN
    height = max((box.y for box in boxes.values()), default=0) + BOX_HEIGHT + MARGIN
    looped = any(edge.source == edge.target for edge in found.calls)
    return Drawing(tuple(boxes.values()), arrows, width, height + ROW // 2 * looped)


def _rows(found: ServiceMap) -> dict[Place, tuple[int, int]]:
    """Return the column and row of each place; in a column they are sorted by where their callers stand."""
    columns: dict[int, list[Place]] = defaultdict(list)
    for place, column in found.columns().items():
        columns[column].append(place)
    rows: dict[Place, tuple[int, int]] = {}
    for column in sorted(columns):
        callers = {place: _mean_row(found, place, rows) for place in columns[column]}
        for row, place in enumerate(sorted(columns[column], key=lambda place: (callers[place], place))):
            rows[place] = column, row
    return rows


def _mean_row(found: ServiceMap, place: Place, rows: dict[Place, tuple[int, int]]) -> float:
    above = [rows[edge.source][1] for edge in found.calls if edge.target == place and edge.source in rows]
    return sum(above) / len(above) if above else 0.0


def _arrow(edge: Calls, source: Box, target: Box) -> Arrow:
    half = BOX_HEIGHT // 2
    if source is target:
        x, y = source.x + BOX_WIDTH // 2, source.y + BOX_HEIGHT
        return Arrow(edge, f"M{x - 30} {y} C{x - 40} {y + 40} {x + 40} {y + 40} {x + 30} {y}", x, y + 42)
    if target.x > source.x:
        x1, y1, x2, y2 = source.x + BOX_WIDTH, source.y + half, target.x, target.y + half
        middle = (x1 + x2) // 2
        return Arrow(edge, f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}", middle, (y1 + y2) // 2 - 6)
    # Back, or to a box above or below: around the left side of both, or along their lower sides.
    x1, y1, x2, y2 = source.x, source.y + half + 8, target.x + BOX_WIDTH, target.y + half + 8
    if target.x == source.x:
        x2 = target.x
        return Arrow(edge, f"M{x1} {y1} C{x1 - 50} {y1} {x2 - 50} {y2} {x2} {y2}", x1 - 40, (y1 + y2) // 2)
    return Arrow(
        edge, f"M{x1} {y1} C{x1 - 60} {y1 + 30} {x2 + 60} {y2 + 30} {x2} {y2}", (x1 + x2) // 2, max(y1, y2) + 18
    )
