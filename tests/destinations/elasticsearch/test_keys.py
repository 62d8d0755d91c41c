"""Making keys: against a scripted server, because the real engines of the tests have no users."""

import subprocess
import time
from base64 import b64decode, b64encode

import pytest

from dashcam.destinations.destination import KeyFile
from dashcam.destinations.elasticsearch.client import Client
from dashcam.destinations.elasticsearch.keys import set_up
from dashcam.destinations.elasticsearch.options import Options
from dashcam.errors import DashcamError, StoreUnreachable
from dashcam.settings import load

from ...scripted import scripted


class Keys:
    """An Elasticsearch as far as its keys go: which there are, and when each ends."""

    def __init__(self):
        self.ends_ms, self.revoked = {}, []

    def __call__(self, asked):
        if asked.method == "POST":
            id_ = f"{asked.json['name']}-{len(self.ends_ms)}"
            self.ends_ms[id_] = (time.time() + int(asked.json["expiration"].removesuffix("d")) * 86400) * 1000
            return 200, {"id": id_, "encoded": b64encode(f"{id_}:secret".encode()).decode()}
        if asked.method == "DELETE":
            self.revoked += asked.json["ids"]
            return 200, {"invalidated_api_keys": asked.json["ids"]}
        id_ = asked.params["id"]
        if id_ not in self.ends_ms:
            return 404, {"error": {"type": "resource_not_found_exception", "reason": "no such key"}}
        return 200, {"api_keys": [{"id": id_, "invalidated": id_ in self.revoked, "expiration": self.ends_ms[id_]}]}


def make_keys(answer, path, **how):
    with scripted(answer) as (url, asked):
        client = Client(load(Options, {"ELASTICSEARCH_URL": url.replace("//", "//elastic:pass@")}))
        try:
            return set_up(client, KeyFile(path, **how)), asked
        finally:
            client.close()


def ids_in(path):
    """The ids of the writer's and the reader's key in a file."""
    lines = dict(line.split("=", 1) for line in path.read_text().splitlines() if not line.startswith("#"))
    return [b64decode(lines[f"ELASTICSEARCH_{role}_KEY"]).decode().split(":")[0] for role in ("WRITER", "READER")]


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


def test_keys_have_a_life(tmp_path):
    """As many days as they are given."""
    keys = Keys()

    step, _ = make_keys(keys, tmp_path / "keys.env", life_days=10)

    days = [(end - time.time() * 1000) / 86_400_000 for end in keys.ends_ms.values()]
    assert days == pytest.approx([10, 10], abs=0.01)
    assert step.done.startswith("made, valid until 2")


def test_keys_that_hold_stay(tmp_path):
    """Running it again makes no second pair, and says how long they hold."""
    keys, path = Keys(), tmp_path / "keys.env"
    make_keys(keys, path)
    before = path.read_text()

    step, _ = make_keys(keys, path)

    assert step.done.startswith("kept, valid until 2")
    assert (path.read_text(), len(keys.ends_ms)) == (before, 2)


@pytest.mark.parametrize("left", ["", "ELASTICSEARCH_WRITER_KEY=", "ELASTICSEARCH_WRITER_KEY=old\n", "\0\0"])
def test_a_file_without_keys_is_made_good(tmp_path, left):
    """As one that a kill left empty."""
    keys, path = Keys(), tmp_path / "keys.env"
    path.write_text(left)

    make_keys(keys, path)

    assert ids_in(path) == ["dashcam-writer-0", "dashcam-reader-1"]


def test_a_file_of_something_else_stays(tmp_path):
    """Bytes that are not a text are no file of keys: nobody meant to write over it."""
    path = tmp_path / "keys"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(DashcamError, match="keys is not a text file"):
        make_keys(lambda request: (500, {}), path)
    assert path.read_bytes() == b"\xff\xfe"


def test_new_keys_are_never_in_a_file_of_others(tmp_path):
    """A file that somebody put where the new one is written first is not written into."""
    other = tmp_path / "open to all"
    other.touch(mode=0o666)
    (tmp_path / ".keys.new").symlink_to(other)

    make_keys(given, tmp_path / "keys")

    assert other.read_text() == ""
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["lost", "revoked", "about to end"])
def test_keys_that_do_not_hold_are_made_anew(tmp_path, what):
    """Elasticsearch is asked: the file alone says nothing."""
    keys, path = Keys(), tmp_path / "keys.env"
    make_keys(keys, path, life_days=90)
    if what == "lost":
        keys.ends_ms.clear()
    elif what == "revoked":
        keys.revoked.append("dashcam-reader-1")
    else:
        keys.ends_ms = dict.fromkeys(keys.ends_ms, (time.time() + 20 * 86400) * 1000)
    former = len(keys.ends_ms)

    make_keys(keys, path, life_days=90)

    assert ids_in(path) == [f"dashcam-writer-{former}", f"dashcam-reader-{former + 1}"]
    assert "dashcam-writer-0" not in keys.revoked  # whoever still uses it goes on


def test_a_rotation_leaves_the_time_to_take_the_new_ones(tmp_path):
    """The keys before stay valid until the next rotation, which ends them."""
    keys, path = Keys(), tmp_path / "keys.env"
    make_keys(keys, path)

    make_keys(keys, path, is_rotation=True)
    assert ids_in(path) == ["dashcam-writer-2", "dashcam-reader-3"]
    assert keys.revoked == []

    make_keys(keys, path, is_rotation=True)
    assert ids_in(path) == ["dashcam-writer-4", "dashcam-reader-5"]
    assert keys.revoked == ["dashcam-writer-0", "dashcam-reader-1"]


def test_a_file_that_a_shell_reads(tmp_path):
    """After a rotation too."""
    keys, path = Keys(), tmp_path / "keys.env"
    make_keys(keys, path)
    make_keys(keys, path, is_rotation=True)

    command = ["sh", "-c", f". {path}; echo $ELASTICSEARCH_WRITER_KEY $ELASTICSEARCH_READER_KEY"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert [b64decode(key).decode() for key in printed.split()] == [
        "dashcam-writer-2:secret",
        "dashcam-reader-3:secret",
    ]


def test_a_key_cannot_make_keys(tmp_path):
    """The text says what can."""
    fault = {
        "type": "illegal_argument_exception",
        "reason": "creating derived api keys requires an explicit role descriptor that is empty (has no privileges)",
    }

    with pytest.raises(StoreUnreachable, match="user:password@"):
        make_keys(lambda _: (400, {"error": fault}), tmp_path / "keys.env")

    assert list(tmp_path.iterdir()) == []


def test_an_engine_without_keys_says_so(engine_url, tmp_path):
    """No file is left that looks as if there were some."""
    client = Client(load(Options, {"ELASTICSEARCH_URL": engine_url}))

    with pytest.raises(DashcamError, match="does not create API keys"):
        set_up(client, KeyFile(tmp_path / "keys.env"))

    client.close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_before_keys_are_made(tmp_path):
    """A key is shown once: one that is made and not written is lost."""
    asked = []

    with pytest.raises(DashcamError, match="cannot be written: No such file"):
        make_keys(lambda request: asked.append(request) or given(request), tmp_path / "nowhere" / "keys.env")

    assert asked == []
