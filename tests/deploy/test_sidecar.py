"""The command of the shipper beside a service in a pod: what was recorded is sent before the pod ends."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dashcam.ship.inspection import health

from ..processes import dashcam_environment, until
from ..spool.spools import log_line, write_to

SIDECAR = Path(__file__).parents[2] / "deploy" / "kubernetes" / "components" / "sidecar" / "shipper.yaml"


@pytest.fixture
def sidecar(tmp_path):
    """The container's own command, with its first process in a group of its own as in a container."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "dashcam"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dashcam "$@"\n')
    program.chmod(0o755)
    command = YAML(typ="safe").load(SIDECAR)[0]["value"]["command"]
    environment = dashcam_environment(tmp_path, PATH=f"{program.parent}:{os.environ['PATH']}")
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, start_new_session=True)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_what_comes_last_is_sent_too(tmp_path, sidecar):
    """Told to end, the shipper ends, and another one sends what was recorded meanwhile; exit status 0."""
    writer = write_to(tmp_path / "spool")
    writer.append(log_line(0))
    until(lambda: b"\n" in (tmp_path / "out").read_bytes(), "first event")

    sidecar.send_signal(signal.SIGTERM)
    for number in range(1, 500):
        writer.append(log_line(number))
    writer.close()

    assert sidecar.wait(60) == 0
    assert len((tmp_path / "out").read_bytes().splitlines()) == 500


def test_a_shipper_that_dies_ends_the_container(tmp_path, sidecar):
    """The kubelet starts it again."""
    until(lambda: health.check(tmp_path).is_well, "shipper")
    children = Path(f"/proc/{sidecar.pid}/task/{sidecar.pid}/children").read_text().split()

    os.kill(int(children[0]), signal.SIGKILL)

    assert sidecar.wait(30) != 0
