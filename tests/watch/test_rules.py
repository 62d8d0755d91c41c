"""Rules out of a file, and every fault in one message."""

import re
from pathlib import Path

import pytest

from dashcam.errors import SettingsError
from dashcam.find.language import parse
from dashcam.watch.rules import Notifier, load_rules

GOOD = """
every = "10s"

[notify.team]
slack = "env:SLACK_URL"

[notify.page]
command = ["page", "--now"]

[notify.post]
email = ["ops@example.com"]
smtp = "smtps://me:secret@mail.example.com"

[[rule]]
name = "orders fail"
query = "route:/cars outcome:failure"
above = 5
window = "5m"
notify = ["team", "page"]

[[rule]]
name = "orders are slow"
query = "service:cars"
figure = "p95"
above = "800ms"
window = "10m"
at_least = 20

[[rule]]
name = "silence"
below = 1
window = "15m"
notify = "team"
"""


@pytest.fixture
def read(tmp_path):
    def read(text, **environment):
        path = tmp_path / "rules.toml"
        path.write_text(text)
        return load_rules(path, parse, environment)

    return read


def test_rules_are_read(read):
    """A notifier that is not named gets every rule; a variable stands for a secret."""
    rules = read(GOOD, SLACK_URL="https://hooks.example.com/x")

    assert rules.every_ns == 10 * 10**9
    assert [(rule.name, rule.figure, rule.threshold, rule.is_below, rule.notify) for rule in rules.rules] == [
        ("orders fail", "events", 5.0, False, ("team", "page")),
        ("orders are slow", "p95", 8e8, False, ("team", "page", "post")),
        ("silence", "events", 1.0, True, ("team",)),
    ]
    assert rules.rules[1].window_ns == 600 * 10**9
    assert rules.notifiers["team"] == Notifier("team", "slack", ("https://hooks.example.com/x",))
    assert rules.notifiers["post"].server == "smtps://me:secret@mail.example.com"


def test_a_threshold_is_passed_not_reached(read):
    """What is not known calls for no alert."""
    fail, _, silence = read(GOOD, SLACK_URL="http://x").rules

    assert [fail.is_met(value) for value in (5, 5.1, None)] == [False, True, False]
    assert [silence.is_met(value) for value in (0, 1, None)] == [True, False, False]


BAD = """
evry = "10s"
[notify.team]
slack = "hooks.example.com"
[notify.page]
comand = ["page"]
[notify.post]
email = "nobody"
smtp = "mail.example.com"
[notify.gone]
webhook = "env:NOT_SET"
[[rule]]
name = "one"
query = "level:(error"
figure = "p90"
window = "5 minutes"
above = 1
below = 2
[[rule]]
query = ""
windw = "5m"
notify = ["nobody"]
[[rule]]
name = "share"
figure = "failed_share"
above = "many"
window = "5m"
at_least = 0
[[rule]]
name = "share"
above = 1
window = "1m"
"""


def test_every_fault_is_in_one_message(read):
    """With its place, its value, and what is allowed."""
    with pytest.raises(SettingsError) as fault:
        read(BAD)

    told = [line.partition("rules.toml: ")[2] for line in str(fault.value).splitlines()]
    assert told == [
        "the file: 'evry' is not known, did you mean every?.",
        "notify.team.slack: expected an address that begins with http:// or https://.",
        "notify.page: expected one of webhook, slack, command, email.",
        "notify.post.email: expected addresses such as ops@example.com.",
        "notify.post.smtp: expected smtp://user:password@host:port, or smtps://.",
        "notify.gone.webhook='env:NOT_SET': the variable is not set.",
        "rule 'one': figure='p90': expected one of events, requests, failures, failed_share, p50, p95, p99.",
        "rule 'one': expected either above or below.",
        told[8],
        "rule 'one': window='5 minutes': expected a time such as 250ms, 30s, 5m, 2h or 1d.",
        "rule 2: it has no name.",
        "rule 2: 'windw' is not known, did you mean window?.",
        "rule 2: expected either above or below.",
        "rule 2: it has no window, such as 5m.",
        "rule 2: notify='nobody': there is no [notify.nobody].",
        "rule 'share': at_least=0: expected a whole number from 1 on.",
        "rule 'share': above='many': expected a share such as 5% or 0.05.",
        "rule 'share': several rules have this name.",
    ]
    assert told[8].startswith("rule 'one': query='level:(error': ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = ", "is not TOML"),
        ("", "it has no rule"),
        ("rule = 7\nnotify = 7", "expected tables"),
        ("rule = [7]", "expected a table"),
        ('[[rule]]\nname = 7\nabove = true\nwindow = "5m"', "there is no notifier"),
        ('[notify]\nx = 7\n[[rule]]\nname = "a"\nabove = 1\nwindow = "5m"', "notify.x: expected one of"),
        ('[notify.x]\nwebhook = "http://[::1"\n[[rule]]\nname = "a"\nabove = 1\nwindow = "5m"', "expected an address"),
        ('[notify.x]\ncommand = [7]\n[[rule]]\nname = "a"\nabove = 1\nwindow = "5m"', "expected a text"),
    ],
)
def test_other_faults(read, text, reason):
    """Whatever stands there."""
    with pytest.raises(SettingsError, match=reason):
        read(text)


def test_a_file_that_is_not_there(tmp_path):
    """It is named."""
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_rules(tmp_path / "none.toml", parse)


def test_the_rules_of_the_page_can_be_used(read):
    """Those of docs/alerts.md."""
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    (text,) = re.findall(r"<!-- rules.toml -->\n```toml\n(.*?)```", page, re.DOTALL)

    assert len(read(text, SLACK_URL="https://hooks.slack.com/x").rules) == 3
