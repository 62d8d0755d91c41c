"""Events as commands print them."""

import json

import pytest

from dashcam.cli.output import print_events
from dashcam.errors import StoreUnreachable
from dashcam.event import Event


def test_what_was_found_before_a_fault_is_printed(capsys):
    """Lines go out some at a time, and those that wait for others do not wait in vain."""

    def events():
        yield Event({"message": "car created"})
        raise StoreUnreachable("the file is gone")

    with pytest.raises(StoreUnreachable):
        print_events(events(), is_json=True)
    assert json.loads(capsys.readouterr().out)["message"] == "car created"
