import math

from chassis.deadline import remaining_s, within


def test_without_a_deadline_time_is_endless():
    """Outside of any deadline there is no end."""
    assert math.isinf(remaining_s())


def test_an_inner_deadline_cannot_extend_the_outer_one():
    """The nearer end counts."""
    with within(1), within(60):
        assert 0 < remaining_s() <= 1


def test_a_deadline_ends_with_its_block():
    """After the block the outer end counts again."""
    with within(60):
        with within(1):
            pass

        assert remaining_s() > 1


def test_a_deadline_that_is_over_leaves_nothing():
    """The time left is never negative."""
    with within(-1):
        assert remaining_s() == 0.0
