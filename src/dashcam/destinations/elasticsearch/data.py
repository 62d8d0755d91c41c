"""The JSON of `logging/elk`, which the package carries as it is."""

from importlib import resources
from typing import Any

import orjson

from dashcam.errors import DashcamError


def read_json(name: str) -> Any:
    """Return the JSON of a file, by its path in `logging/elk`; raises `DashcamError` when a build left it out."""
    try:
        return orjson.loads(resources.files(__package__).joinpath("elk", name).read_bytes())
    except FileNotFoundError as fault:
        raise DashcamError(f"logging/elk/{name} is not in this installation: build from the whole project.") from fault
