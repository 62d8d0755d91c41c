"""The contracts that come with Dashcam, for the two halves of the destination."""

import json

import pytest
from dashcam_json_lines import Appender, Reader

from dashcam.find.query import Query
from dashcam.testing.backend_contract import BackendContract, line
from dashcam.testing.store_contract import StoreContract


class File:
    """A file as a destination; a folder in its place accepts nothing."""

    def __init__(self, path):
        self.path = path

    def connect(self):
        return Appender(self.path)

    def arrived(self):
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        return list({event["event"]["id"]: event for event in map(json.loads, filter(None, lines))}.values())

    def stop(self):
        self.path.unlink(missing_ok=True)
        self.path.mkdir()


class TestAppender(BackendContract):
    @pytest.fixture
    def destination(self, tmp_path):
        return File(tmp_path / "events.jsonl")


class TestReader(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def fill(cls, tmp_path_factory):
        def fill(shipped):
            path = tmp_path_factory.mktemp("store") / "events.jsonl"
            Appender(path).ship(shipped)
            return Reader(path)

        return fill


def test_half_a_line_costs_that_line_alone(tmp_path):
    """What a full disk left of a batch does not hide the batch that is sent again."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1).data[:20])
    Appender(path).ship([line(1), line(2)])

    assert [event.id for event in Reader(path).find(Query())] == [line(1).id, line(2).id]
