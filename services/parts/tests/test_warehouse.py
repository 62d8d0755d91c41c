from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from werkzeug.exceptions import Gone, NotFound

from parts.catalogue import COMPONENTS


def test_parts_asked_for_many_times_at_once_are_made_once(warehouse):
    """Of many that ask together one makes the parts, the others get the same."""
    car_id = uuid4()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: warehouse.make(car_id, "VW Golf"), range(8)))

    assert [is_new for _, is_new in answers].count(True) == 1
    assert all(parts == answers[0][0] for parts, _ in answers)


def test_a_removal_among_them_leaves_nothing(warehouse):
    """Whatever the order of making and removing at once, no part is left."""
    for _ in range(10):
        car_id = uuid4()
        with ThreadPoolExecutor(2) as threads:
            made = threads.submit(warehouse.make, car_id, "VW Golf")
            threads.submit(warehouse.remove, car_id).result(10)

        assert made.exception() is None or isinstance(made.exception(), Gone)
        with pytest.raises(NotFound):
            warehouse.find(car_id)


def test_a_removal_counts_what_was_there(warehouse):
    """The number of parts is given, zero for a car that had none."""
    car_id = uuid4()
    warehouse.make(car_id, "VW Golf")

    assert warehouse.remove(car_id) == len(COMPONENTS)
    assert warehouse.remove(car_id) == 0
