"""What a self-hosted stack needs before the first event: templates, life cycle, streams, keys, Kibana's objects.

All of it may be done again at any time: what is there is brought to the present form, and events stay as they are.
The texts are the files of `logging/elk`, which the package carries as they are.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson

from dashcam.errors import DashcamError


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was set up, and what was done about it."""

    what: str
    done: str


def read_json(name: str) -> Any:
    """The JSON of a file of `logging/elk`, by its path there; raises `DashcamError` when it was left out of a build."""
    try:
        return orjson.loads(resources.files(__package__).joinpath("elk", name).read_bytes())
    except FileNotFoundError as fault:
        raise DashcamError(f"logging/elk/{name} is not in this installation: build from the whole project.") from fault
