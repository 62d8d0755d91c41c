"""`dashcam repair`: what damage left is saved, the rest is put aside, and everything goes on."""

import json
import sqlite3
from contextlib import closing

import pytest

from dashcam.ship.state.heartbeat import read_heartbeat
from dashcam.spool.reader import segment_files

from ...processes import dashcam, running_dashcam, until
from ..recorded import numbers, record

LOCAL = {"LOG_BACKEND": "local"}


def repair(folder, **environment):
    """The exit status, and what was printed; a second run has nothing to do."""
    done = dashcam("repair", folder=folder, **environment)
    again = dashcam("repair", folder=folder, **environment)
    assert (again.returncode, again.stdout) == (0, f"{folder} is in order\n"), again.stdout + again.stderr
    return done.returncode, done.stdout


def status(folder, **environment):
    return json.loads(dashcam("status", "--json", "--full", folder=folder, **environment).stdout)


def damage(path, at, count=40):
    data = bytearray(path.read_bytes())
    data[at : at + count] = b"?" * count
    path.write_bytes(data)


def test_a_segment_that_cannot_be_read(tmp_path):
    """It is put aside with the reason, and the others are shipped."""
    for count in (3, 4):
        record(tmp_path, count)
    path = segment_files(tmp_path / "spool")[0]
    damage(path, 10)

    ended, printed = repair(tmp_path)

    assert ended == 1
    assert printed.startswith(f"{path}: ")
    assert "moved to" in printed
    assert "  not saved: its events (" in printed
    assert numbers(dashcam("ship", "--drain", folder=tmp_path).stdout) == [0, 1, 2, 3]


@pytest.mark.parametrize(("at", "expected"), [(0, 0), (None, 5)])
def test_a_checkpoint(tmp_path, at, expected):
    """One that has a whole record goes on from there; of one without, everything is sent again."""
    record(tmp_path, 5)
    assert len(numbers(dashcam("ship", "--drain", folder=tmp_path).stdout)) == 5
    path = tmp_path / "positions" / "stdout.journal"
    if at is None:
        path.write_bytes(b"?" * 300 + b"\n")
    else:
        damage(path, at)

    ended, printed = repair(tmp_path)

    assert ended == 1
    assert f"{path}: rebuilt from the readable parts; a copy is {tmp_path}/quarantine/positions/" in printed
    assert len(numbers(dashcam("ship", "--drain", folder=tmp_path).stdout)) == expected
    account = status(tmp_path)
    assert account["recorded"] == account["routes"]["stdout"]["delivered"] == 5


def test_counts_and_letters(tmp_path):
    """A count of drops that is none, the account of removed segments, and a letter in pieces."""
    record(tmp_path, 5)
    dashcam("ship", "--drain", folder=tmp_path)
    drops = next((tmp_path / "spool").glob("*/*")) / "drops"
    drops.write_bytes(b"nonsense")
    (tmp_path / "pruned").write_bytes(b"?" * 50 + b"\n")
    letter = {"time": "", "reason": "odd", "id": "x", "is_span": False, "event": "{}"}
    letters = tmp_path / "dead-letters" / "stdout.jsonl"
    letters.parent.mkdir(exist_ok=True)
    letters.write_text(f"{json.dumps(letter)}\n{{half of one\n")

    ended, printed = repair(tmp_path)

    assert ended == 1
    assert f"{drops}: these are not counts; moved to " in printed
    assert f"{tmp_path}/pruned: rebuilt" in printed
    assert f"{letters}: 1 letters are kept; a copy is" in printed
    assert [json.loads(line) for line in letters.read_text().splitlines()] == [letter]


def test_the_local_store(tmp_path):
    """Each block that can be read is in the new file, and what the spool still has is sent there again."""
    record(tmp_path, 2000)
    dashcam("ship", "--drain", folder=tmp_path, **LOCAL)
    path = tmp_path / "events.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT pageno FROM dbstat WHERE name = 'blocks' AND pagetype = 'leaf' LIMIT 1").fetchone()
    damage(path, (page - 1) * 4096, 4096)

    ended, printed = repair(tmp_path, **LOCAL)

    assert ended == 1
    assert f"the old one is {tmp_path}/quarantine/events.db" in printed
    saved = int(printed.partition(" events were saved")[0].rpartition(" ")[2].replace(",", ""))
    assert 1000 < saved < 2001
    dashcam("ship", "--drain", folder=tmp_path, **LOCAL)
    found = dashcam("search", "--limit", "0", "--json", folder=tmp_path, **LOCAL).stdout
    assert sorted(numbers(found)) == list(range(2000))
    assert dashcam("audit", folder=tmp_path, **LOCAL).returncode == 0


def test_beside_a_running_shipper(tmp_path):
    """It does nothing, and says why."""
    with running_dashcam("ship", folder=tmp_path):
        until(lambda: read_heartbeat(tmp_path).pid, "shipper")

        done = dashcam("repair", folder=tmp_path)

    assert done.returncode == 1
    assert f"another shipper works in {tmp_path}; stop it" in done.stderr


def test_messages_of_damage_name_it(tmp_path):
    """Whoever is told of damage is told what to do."""
    record(tmp_path, 3)
    path = segment_files(tmp_path / "spool")[0]
    damage(path, 10)
    assert "dashcam repair" in dashcam("cat", folder=tmp_path).stderr
    done = dashcam("ship", "--drain", folder=tmp_path)
    doctor = dashcam("doctor", folder=tmp_path).stdout

    assert "1 damaged files were moved to" in doctor
    assert "Run dashcam repair" in doctor
    assert "1 damaged files were moved to" in dashcam("status", folder=tmp_path).stdout
    assert "dashcam repair" in dashcam("status", folder=tmp_path).stdout + done.stderr


def test_a_local_store_of_another_format(tmp_path):
    """It is reported while the shipper waits; its events are saved into a file of this format."""
    record(tmp_path, 3)
    dashcam("ship", "--drain", folder=tmp_path, **LOCAL)
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.execute("PRAGMA user_version = 3")

    assert "it has format 3, and this Dashcam reads format" in dashcam("search", folder=tmp_path, **LOCAL).stderr
    assert "4 events were saved into a new file" in repair(tmp_path, **LOCAL)[1]  # the statement of the segment, too
    assert sorted(numbers(dashcam("search", "--json", "number:*", folder=tmp_path, **LOCAL).stdout)) == [0, 1, 2]
