"""`dashcam cat`: what stands in the spool."""

import json

from dashcam.spool.reader import segment_files

from ...processes import dashcam, run
from ...spool.spools import ids_in
from ..recorded import numbers, record


def test_every_event(tmp_path):
    """Delivered or not, complete, one JSON object a line."""
    record(tmp_path, 3)
    dashcam("ship", "--drain", folder=tmp_path)

    done = dashcam("cat", folder=tmp_path)

    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["labels"]["number"] for event in events] == [0, 1, 2]
    (path,) = segment_files(tmp_path / "spool")
    assert [event["event"]["id"] for event in events] == ids_in(path)
    assert [int(event["event"]["id"][25:]) for event in events] == [event["event"]["sequence"] for event in events]


def test_raw_lines(tmp_path):
    """As they stand in the files, marks of requests among them."""
    code = "import flask, dashcam\napp = flask.Flask('cars')\ndashcam.init_app(app)\napp.test_client().get('/')"
    run(code, env={"DASHCAM_DIR": str(tmp_path)})

    raw = dashcam("cat", "--raw", folder=tmp_path).stdout.splitlines()
    whole = dashcam("cat", folder=tmp_path).stdout.splitlines()

    kinds = [json.loads(line)["processor"]["event"] for line in raw]
    assert (kinds[0], kinds[-1], kinds.count("transaction")) == ("start", "transaction", 1)
    assert [json.loads(line)["processor"]["event"] for line in whole] == ["transaction"]
    assert "service" not in json.loads(raw[0])


def test_one_segment(tmp_path):
    """By its file."""
    record(tmp_path, 1)
    record(tmp_path, 2)
    _, second = segment_files(tmp_path / "spool")

    assert numbers(dashcam("cat", second, folder=tmp_path / "elsewhere").stdout) == [0, 1]


def test_damage_is_told(tmp_path):
    """With everything that can be read."""
    record(tmp_path, 3)
    (path,) = segment_files(tmp_path / "spool")
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"number":1', b'"number":\xff').replace(b'{"time_ns"', b'{"time_nx"', 1))
    (path.parent / "0000.segment").write_bytes(b"garbage")

    done = dashcam("cat", folder=tmp_path)

    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert "1 damaged places skipped" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    """Is named."""
    done = dashcam("cat", tmp_path / "absent.segment", folder=tmp_path)

    assert done.returncode == 1
    assert "absent.segment" in done.stderr


def test_a_reader_that_goes_away(tmp_path):
    """As `head` does: no error."""
    record(tmp_path, 5000)
    code = """
import subprocess, sys
cat = subprocess.Popen([sys.executable, "-m", "dashcam", "cat"], stdout=-1, stderr=-1)
cat.stdout.readline()
cat.stdout.close()
print(cat.wait(), cat.stderr.read())
"""
    assert run(code, env={"DASHCAM_DIR": str(tmp_path)}) == "0 b''\n"
