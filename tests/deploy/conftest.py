"""Pods to play with."""

import pytest

from .namespaces import Namespace


@pytest.fixture
def start(tmp_path):
    """A function that makes a namespace."""
    made = []

    def make(name, **how):
        made.append(Namespace(tmp_path, name, **how))
        return made[-1]

    yield make
    for each in made:
        each.end()
