"""The stand-in as a command, in a process of its own."""

import json
import os
import signal
import subprocess
import sys

import requests

COMMAND = [sys.executable, "-m", "dashcam", "fake-loggly"]


def start(*options):
    return subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_prints_settings_to_paste_and_ends_when_told():
    """Sending and searching; exit status 0."""
    process = start()
    printed = [process.stdout.readline() for _ in range(5)]

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)

    assert printed[0] == "export LOG_BACKEND=loggly\n"
    assert [line.partition("=")[0] for line in printed[1:]] == [
        "export LOGGLY_URL",
        "export LOGGLY_TOKEN",
        "export LOGGLY_API_URL",
        "export LOGGLY_API_TOKEN",
    ]
    assert process.returncode == 0


def test_what_it_took_outlives_a_kill(tmp_path):
    """With a journal the next one has it."""
    journal = str(tmp_path / "journal")
    for round_number in range(2):
        process = start("--json", "--journal", journal)
        settings = json.loads(process.stdout.readline())
        url = f"{settings['LOGGLY_URL']}/bulk/{settings['LOGGLY_TOKEN']}"
        assert requests.post(url, data=f"event {round_number}", timeout=5).ok
        token = {"Authorization": f"bearer {settings['LOGGLY_API_TOKEN']}"}
        found = requests.get(f"{settings['LOGGLY_API_URL']}/apiv2/events/iterate", headers=token, timeout=5).json()
        process.kill()
        process.communicate()

    assert sorted(event["raw"] for event in found["events"]) == ["event 0", "event 1"]


def test_a_port_that_is_taken_is_told(tmp_path):
    """Exit status 1, one line."""
    first = start("--json")
    port = json.loads(first.stdout.readline())["LOGGLY_URL"].rpartition(":")[2]

    second = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=10, check=False)
    first.terminate()
    first.communicate()

    assert second.returncode == 1
    assert "the fake Loggly cannot start" in second.stderr
    assert "Traceback" not in second.stderr


def test_it_needs_no_pytest(tmp_path):
    """An image or a machine that only tries it has none."""
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError('No module named pytest')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    printed = process.stdout.readline()

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert printed == "export LOG_BACKEND=loggly\n"
