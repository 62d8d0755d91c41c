"""A process that records, and what it recorded."""

import pytest

import dashcam


@pytest.fixture
def cars(recording):
    """What this process recorded as the service cars."""
    dashcam.init("cars", "1.0.0")
    return recording
