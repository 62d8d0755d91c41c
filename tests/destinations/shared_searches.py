"""The searches of `StoreContract`, shared among the slow stores; each of them answers all in `make test-long`."""

import pytest

from dashcam.testing.store_contract import SEARCHES


def each(step, first):
    """The searches as parameters of a test: each `step`-th from the `first` on, and the others as long ones."""
    quick = SEARCHES[first::step]
    marked = [pytest.param(texts, marks=[pytest.mark.long] * (texts not in quick)) for texts in SEARCHES]
    return pytest.mark.parametrize("texts", marked, ids=lambda texts: f"{texts[0]} to {texts[-1]}")
