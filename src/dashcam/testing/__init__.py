"""A pytest plugin that shows what an application under test recorded, and checks that one request is one story.

    def test_a_car_is_one_story(recording, client):
        client.post("/cars", json={"name": "VW Golf"}, headers={"X-Request-ID": "golf-1"})

        recording.assert_one_story("golf-1", services=["cars", "parts"])

The fixture `recording` records into a folder of its own: the application in the test's process, and every process that
you start with `recording.environment`.

The fixture `loggly_stand_in` is a running fake Loggly: `environment()` returns the variables that point to it, and
`lines()` what it accepted.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dashcam.testing.plugin import Recording, loggly_stand_in, recording

__all__ = ["Recording", "loggly_stand_in", "recording"]


def __getattr__(name: str) -> Any:
    # Late: `dashcam fake-loggly` is in this room too, and runs where there is no pytest.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dashcam.testing import plugin

    return getattr(plugin, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
