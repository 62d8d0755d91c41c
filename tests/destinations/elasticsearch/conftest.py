"""The streams of each engine."""

import pytest

from ...engines.streams import set_up, settings_for


@pytest.fixture
def settings(engine_url, namespace):
    """Settings for streams that are set up, in each engine."""
    settings = settings_for(engine_url, namespace)
    set_up(settings)
    return settings
