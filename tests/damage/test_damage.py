"""Damaged segments; `make damage` tries more of them."""

import random
from collections import Counter

from .__main__ import try_some


def test_damage_costs_what_it_touches(tmp_path):
    """All lines that are as they were arrive under their IDs, and nothing else."""
    counts = Counter()

    wrong = try_some(tmp_path, 64, random.Random(7), counts)

    assert wrong == {"lost": [], "changed": [], "moved or invented": []}
    assert counts["segments"] >= 64
    assert counts["delivered"] > 100
