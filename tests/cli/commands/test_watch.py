"""`dashcam watch` as a command: faults at the start, one at a time, once."""

import sys

import pytest

from dashcam.cli import main

from ...processes import running, until
from ..recorded import record

RULES = """
every = "10ms"
[notify.file]
command = ["{python}", "-c", "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())", "{file}"]
[[rule]]
name = "cars"
query = "created"
above = 2
window = "1h"
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    monkeypatch.setenv("DASHCAM_DIR", str(tmp_path))
    monkeypatch.delenv("LOG_BACKEND", raising=False)
    path = tmp_path / "rules.toml"
    path.write_text(RULES.format(python=sys.executable, file=tmp_path / "sent"))
    return path


def test_faults_are_reported_at_the_start(rules, capsys):
    """All of them, as wrong usage."""
    rules.write_text('[[rule]]\nname = "cars"\nabove = "x"\n')

    assert main(["watch", str(rules)]) == 2
    assert capsys.readouterr().err.count("rule 'cars'") == 3
    rules.write_text(RULES.format(python="x", file="y"))
    assert main(["watch", str(rules), "--check"]) == 0
    assert capsys.readouterr().err.endswith("rules.toml has 1 rules, and no fault\n")


def test_it_looks_once_for_cron(rules, tmp_path):
    """Three cars in the spool, which nobody has shipped: one notice, however often it is run."""
    record(tmp_path, 3)

    assert [main(["watch", str(rules), "--once"]) for _ in range(2)] == [0, 0]
    assert (tmp_path / "sent").read_text().count('"state":"firing"') == 1


def test_only_one_watches(rules, tmp_path, capsys):
    """A second one would send everything twice."""
    code = "import sys; from dashcam.cli import main; main(['watch', sys.argv[1]])"
    with running(code, rules):
        until(lambda: list((tmp_path / "watch").glob("*.json")), "state file")
        assert main(["watch", str(rules)]) == 1
    assert "is watched by another process already" in capsys.readouterr().err
