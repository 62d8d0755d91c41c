"""Making keys: against a scripted server, because the real engines of the tests have no users."""

import pytest

from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.keys import set_up
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import load

from ...scripted import scripted


def make_keys(answer, path):
    with scripted(answer) as (url, asked):
        client = Client(load(Options, {"ELASTICSEARCH_URL": url.replace("//", "//elastic:pass@")}))
        try:
            return set_up(client, path), asked
        finally:
            client.close()


def given(asked):
    return 200, {"id": "1", "name": asked.json["name"], "api_key": "x", "encoded": f"for-{asked.json['name']}=="}


def test_keys_are_written_for_their_owner_alone(tmp_path):
    """Names that a compose file or a shell can take over."""
    path = tmp_path / "keys.env"

    step, _ = make_keys(given, path)

    assert path.read_text() == (
        "ELASTICSEARCH_WRITER_KEY=for-dashcam-writer==\nELASTICSEARCH_READER_KEY=for-dashcam-reader==\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert "==" not in str(step)


def test_keys_have_the_least_rights(tmp_path):
    """The writer cannot read, change or delete; the reader cannot write."""
    _, asked = make_keys(given, tmp_path / "keys.env")

    rights = {
        request.json["name"]: request.json["role_descriptors"][request.json["name"]]["indices"][0]["privileges"]
        for request in asked
    }
    assert rights == {"dashcam-writer": ["create_doc"], "dashcam-reader": ["read", "view_index_metadata"]}


def test_keys_that_are_there_stay(tmp_path):
    """Running it again makes no second pair."""
    path = tmp_path / "keys.env"
    path.write_text("ELASTICSEARCH_WRITER_KEY=old\n")

    step, asked = make_keys(given, path)

    assert step.done == "kept: the file is there"
    assert path.read_text() == "ELASTICSEARCH_WRITER_KEY=old\n"
    assert asked == []


def test_a_key_cannot_make_keys(tmp_path):
    """The text says what can."""
    fault = {
        "type": "illegal_argument_exception",
        "reason": "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
    }

    with pytest.raises(StoreUnreachable, match="user:password@"):
        make_keys(lambda _: (400, {"error": fault}), tmp_path / "keys.env")

    assert not (tmp_path / "keys.env").exists()


def test_an_engine_without_keys_says_so(engine_url, tmp_path):
    """No file is left that looks as if there were some."""
    client = Client(load(Options, {"ELASTICSEARCH_URL": engine_url}))

    with pytest.raises(DashcamError, match="makes no API keys"):
        set_up(client, tmp_path / "keys.env")

    client.close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_before_keys_are_made(tmp_path):
    """A key is shown once: one that is made and not written is lost."""
    asked = []

    with pytest.raises(DashcamError, match="cannot be written: No such file"):
        make_keys(lambda request: asked.append(request) or given(request), tmp_path / "nowhere" / "keys.env")

    assert asked == []
