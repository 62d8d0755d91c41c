"""A spool that a service may not write: the service goes on, and everybody who is asked says so, and who may write."""

import os
import tempfile
from pathlib import Path

import pytest

from ..processes import dashcam, running

NOBODY = 65534
SERVICE = f"""
import os, sys
from dashcam import get_logger, init
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
init("cars")
log = get_logger("cars")
for line in sys.stdin:
    log.info("car created")
    print("logged", flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run a service as another user")
def test_a_service_of_another_user(tmp_path, monkeypatch):
    """One line at once, none for the next events, and one at each change; status and doctor are not well meanwhile."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o1777)
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    spool = tmp_path / "dashcam" / "spool"
    spool.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("TMPDIR", str(temporary))
    environment = os.environ | {"DASHCAM_DIR": str(spool.parent), "DASHCAM_CONSOLE": "off"}
    with (tmp_path / "errors").open("wb") as errors, running(SERVICE, env=environment, stderr=errors) as service:

        def log():
            service.stdin.write("\n")
            service.stdin.flush()
            assert service.stdout.readline() == "logged\n"
            return (tmp_path / "errors").read_text().splitlines()

        (first,) = log()
        assert log() == [first]
        status = dashcam("status", folder=spool.parent)
        doctor = dashcam("doctor", folder=spool.parent)
        spool.chmod(0o777)
        while len(said := log()) == 1:
            pass

    assert first.startswith("dashcam: events of cars are dropped and counted: [Errno 13] Permission denied")
    assert said[1].startswith("dashcam: events of cars are recorded again; ")
    assert status.returncode == doctor.returncode == 1
    assert "  dropped 2: the user of a service may not write the spool\n" in status.stdout
    assert f"    {spool} may be written by root\n" in status.stdout
    assert f"2 events were dropped so far: {spool} may be written by root" in doctor.stdout
