import os
import sys

import pytest

from demo.errors import DemoError
from demo.process import Process


def start(tmp_path, program):
    (tmp_path / "program.py").write_text(program)
    return Process("engine", ["program"], tmp_path, os.environ | {"PYTHONPATH": str(tmp_path)})


def test_what_a_process_printed_is_found(tmp_path):
    """A process is waited for by what it prints when it is ready."""
    process = start(tmp_path, "import time; print('Listening at: 7', flush=True); time.sleep(60)")

    assert process.wait_for(r"Listening at: (\S+)") == "7"

    process.stop()


def test_a_process_that_ends_instead_says_why(tmp_path):
    """Who does not start is told, with what it said last."""
    process = start(tmp_path, "raise SystemExit('out of fuel')")

    with pytest.raises(DemoError, match=r"engine did not start\. It said last:\nout of fuel"):
        process.wait_for("never")

    process.stop()


def test_a_process_that_fails_says_why(tmp_path):
    """A step that goes wrong is told, with what it said last."""
    process = start(tmp_path, "raise SystemExit('out of fuel')")

    with pytest.raises(DemoError, match=r"engine failed\. It said last:\nout of fuel"):
        process.wait()

    process.stop()


def test_a_process_does_not_run_in_the_checkout(tmp_path):
    """Its folder is the demo's: gunicorn would import what lies about."""
    process = start(tmp_path, "import os, sys; print('in', os.getcwd()); print('by', sys.executable)")

    process.wait()

    assert process.wait_for("^in (.*)$") == str(tmp_path)
    assert process.wait_for("^by (.*)$") == sys.executable
    process.stop()
