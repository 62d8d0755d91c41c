"""A search in the words of a command line."""

import pytest

from dashcam.cli.query import protect_minus


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["-level:info"], ["NOT level:info"]),
        (["-n", "20", "-n20", "--json", "-h", "a-b"], ["-n", "20", "-n20", "--json", "-h", "a-b"]),
        (["--", "-x"], ["--", "-x"]),
    ],
)
def test_options_stay_options(given, meant):
    """Only what is no option of a search is made to be one of its words."""
    assert protect_minus(given) == meant
