"""What somebody types who does not know the command yet: a sentence and the right exit status, never a traceback."""

import shlex

import pytest

from dashcam.cli import main

from ..processes import run

RECORDED = """
import dashcam
dashcam.init("cars")
log = dashcam.get_logger("cars")
with dashcam.job("order", car_id=7):
    log.info("VW Golf ordered", colour="red")
    log.error("no body left", part="body")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A job that was recorded, and shipped to the local store."""
    folder = tmp_path_factory.mktemp("newcomer")
    run(RECORDED, env={"DASHCAM_DIR": str(folder), "DASHCAM_CONSOLE": "off"})
    run("from dashcam.cli import main; main(['ship', '--drain'])", env={"DASHCAM_DIR": str(folder)})
    return folder


@pytest.fixture
def typed(folder, monkeypatch, capfd):
    """Run a command line, given as words; its exit status, and all that it printed."""
    for name, value in {"DASHCAM_DIR": str(folder), "LOG_BACKEND": "local", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)

    def run_line(*words, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(words)
        except SystemExit as ended:  # argparse
            status = ended.code
        printed = capfd.readouterr()
        return status, printed.out + printed.err

    return run_line


FINDS = [
    *[("trace car_id=7", "order"), ("trace --last", "✓ order"), ("trace ' car_id=7 '", "order")],
    *[("search VW Golf", "VW Golf ordered"), ("search '\"VW Golf\"'", "VW Golf"), ("search colour:red", "Golf")],
    *[("search *:*", "no body"), ("search !level:info", "no body"), ("search -level:info", "no body")],
    *[("search msg:golf", "Golf"), ("search level:ERROR", "no body")],
    *[("search -n 1", "only the newest 1 are shown"), ("search --limit 0", "Golf"), ("search", "Golf")],
    *[("search golf AND NOT level:error", "Golf"), ("search part:b*", "no body")],
    *[("status", "recorded 3"), ("status --json", '"recorded":3'), ("status --full", "recorded 3")],
    *[("cat", "VW Golf"), ("cat --raw", '"time_ns"'), ("settings", "DASHCAM_DIR"), ("version", "dashcam 0.")],
    *[("help", "commands"), ("help trace", "usage: dashcam trace"), ("-h", "commands"), ("search --help", "Examples")],
    *[("audit", "0 missing"), ("overview", "cars"), ("replay", "there are no dead letters")],
    ("copy --from local --to stdout --since 1d", "VW Golf"),
]


@pytest.mark.parametrize(("line", "expected"), FINDS)
def test_what_works(typed, line, expected):
    """Found, and exit status 0."""
    status, printed = typed(*shlex.split(line))

    assert (status, expected in printed) == (0, True), printed


MISTAKES = [
    # not found
    *[(1, "trace nothing", "no event has the ID 'nothing' in local"), (1, "trace *", "no event has the ID")],
    *[(1, "trace \udcff", "no event has the ID"), (1, "compare \udcff", "no event has the ID")],
    *[(1, "trace car_id:7", "a label is written car_id=7"), (1, "trace car_id=8", "no event has the ID")],
    *[(1, "search nothing", "no event matches"), (1, "search color:red", "has the label color")],
    *[
        (1, "search stauts:500", "did you mean status?"),
        (1, "search LEVEL:error", "did you mean level?"),
        (1, "search service:parts", "no event matches"),
    ],
    *[(1, "search golf --until 1h", "no event matches"), (1, "overview service:parts", "no request")],
    *[
        (1, "cat /etc/passwd", "/etc/passwd is not a segment"),
        (1, "cat none", "none cannot be read: No such"),
    ],
    *[(1, "trace --last --html /none/x.html", "/none/x.html cannot be written: No such file")],
    *[(1, "replay local", "No other backend has any."), (1, "compare a b", "no event has the ID")],
    *[(127, "run -- no-such-program", "no-such-program cannot be started: No such file")],
    # typed wrongly
    *[(2, "", "usage: dashcam COMMAND"), (2, "trac", "Did you mean trace?"), (2, "wibble", "Known: demo, run")],
    *[(2, "trace", "Give an ID, or --last for the newest."), (2, "trace --last 7", "Give an ID or --last, not both.")],
    *[(2, "trace a b", "unrecognized arguments: b"), (2, "help wibble", "'wibble' is not a command")],
    *[(2, "search (", "The search ends where"), (2, "search a AND", "The search ends where")],
    *[(2, "search status:abc", "which is a number"), (2, "search level:errro", "'errro' is not a level")],
    *[(2, "search duration:>5xs", "such as 250ms"), (2, "search --limit -1", "'-1' is not a number such as 20")],
    *[(2, "search -n x", "'x' is not a number"), (2, "search --since 7x", "'7x' is neither a time nor an age")],
    *[(2, "search --since 2999-01-01", "is in the future"), (2, "search --since 1h --until 2h", "The period is empty")],
    *[(2, "tail -n -3", "'-3' is not a number"), (2, "tail --follow", "unrecognized arguments: --follow")],
    *[(2, "view --port 99999", "'99999' is not a port: 0 to 65535"), (2, "view --port http", "'http' is not a port")],
    *[(2, "fake-loggly --port -1", "is not a port"), (2, "doctor --wait -1", "'-1' is not a number of seconds")],
    *[(2, "doctor --wait soon", "seconds above 0"), (2, "doctor --wait 0", "seconds above 0")],
    *[(2, "replay bogus", "'bogus' is not a backend. Known: elasticsearch"), (2, "copy", "required: --from, --to")],
    *[(2, "copy --from bogus --to local --since 1d", "--from 'bogus' is not a destination")],
    *[(2, "copy --from local --to bogus --since 1d", "--to 'bogus' is not a destination")],
    *[(2, "run", "give a command: dashcam run -- CMD"), (2, "run --", "give a command")],
    *[(2, "run --foo", "unrecognized arguments: --foo"), (2, "ship --drian", "unrecognized arguments: --drian")],
    *[
        (2, "setup", "required: stack"),
        (2, "setup bogus", "invalid choice: 'bogus'"),
        (2, "setup elk --life x", "'x' is"),
    ],
    *[(2, "audit bogus", "unrecognized arguments: bogus"), (2, "status now", "unrecognized arguments: now")],
]


@pytest.mark.parametrize(("expected_status", "line", "expected"), MISTAKES)
def test_mistakes(typed, expected_status, line, expected):
    """What is wrong, in a sentence."""
    status, printed = typed(*shlex.split(line))

    assert (status, expected in printed) == (expected_status, True), printed


SURROUNDINGS = [
    (2, "status", {"LOG_BACKEND": "logly"}, "LOG_BACKEND='logly' is not a backend. Known: elasticsearch"),
    (2, "status", {"LOG_BACKEND": "local,,"}, "LOG_BACKEND='local,,' cannot be used"),
    (2, "status", {"DASHCAM_SPOL": "1GB"}, "DASHCAM_SPOL is not a setting. Did you mean DASHCAM_SPOOL_LIMIT?"),
    (2, "ship", {"LOG_LEVEL": "loud"}, "LOG_LEVEL='loud' cannot be used: expected one of DEBUG"),
    (2, "search x", {"LOG_BACKEND": "stdout"}, "cannot be searched"),
    (2, "view", {"LOG_BACKEND": "stdout"}, "cannot be searched"),
    (2, "search x", {"LOG_BACKEND": "loggly"}, "LOGGLY_API_TOKEN is not set"),
    (2, "ship --drain", {"LOG_BACKEND": "loggly"}, "LOGGLY_TOKEN is not set"),
    (3, "search x", {"DASHCAM_DIR": "/none"}, "nothing was shipped to the local store yet"),
    (3, "trace x", {"LOG_BACKEND": "elasticsearch", "ELASTICSEARCH_URL": "http://127.0.0.1:1"}, "cannot be reached"),
    (1, "doctor", {"DASHCAM_DIR": "/etc/passwd"}, "/etc/passwd cannot be written"),
    (1, "ship --drain", {"DASHCAM_DIR": "/etc/passwd"}, "/etc/passwd"),
    (1, "status", {"DASHCAM_DIR": "/etc/passwd"}, "Not a directory"),
]


@pytest.mark.parametrize(("expected_status", "line", "environment", "expected"), SURROUNDINGS)
def test_an_environment_that_does_not_fit(typed, expected_status, line, environment, expected):
    """What is wrong with it, before anything is done."""
    status, printed = typed(*line.split(), **environment)

    assert (status, expected in printed) == (expected_status, True), printed
