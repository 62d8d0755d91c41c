"""Dashcam's tests for every backend and every store, for this destination."""

import json

import pytest
from dashcam_json_lines import Appender, Reader

from dashcam.find.query import Query
from dashcam.testing.backend_contract import BackendContract, line
from dashcam.testing.store_contract import StoreContract


class File:
    """The file as a destination; a folder in its place accepts no events."""

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
    """An incomplete line from a full disk does not damage the batch that is sent again."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1).data[:20])
    Appender(path).ship([line(1), line(2)])

    assert [event.id for event in Reader(path).find(Query())] == [line(1).id, line(2).id]
