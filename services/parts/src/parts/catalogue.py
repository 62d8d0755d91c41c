"""The parts that a car consists of."""

from typing import NamedTuple


class Component(NamedTuple):
    """One component of every car; `position` is empty where there is just one of its name."""

    name: str
    position: str = ""


_CORNERS = ("front left", "front right", "rear left", "rear right")

COMPONENTS = (
    Component("body"),
    Component("engine"),
    Component("transmission"),
    Component("battery"),
    Component("fuel tank"),
    *(Component("wheel", corner) for corner in _CORNERS),
    *(Component("brake", corner) for corner in _CORNERS),
    *(Component("door", corner) for corner in _CORNERS),
    Component("windscreen"),
    *(Component("headlight", side) for side in ("left", "right")),
    Component("steering wheel"),
    Component("dashboard"),
    *(Component("seat", place) for place in ("driver", "passenger", "rear bench")),
    Component("dashcam"),
)
