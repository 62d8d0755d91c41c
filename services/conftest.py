"""Fixtures for the services' tests."""

import pytest

from dashcam.testing import Recording


@pytest.fixture(autouse=True)
def story(recording: Recording) -> Recording:
    """What the services recorded, in a folder of the test's own."""
    return recording
