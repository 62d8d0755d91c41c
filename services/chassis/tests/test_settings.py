import pytest
from psycopg2.extensions import parse_dsn

from chassis.settings import SettingsError, database_address, read, web_address

CHECKS = {"DATABASE_URL": database_address, "PARTS_URL": web_address}


def test_good_values_are_given_back():
    """A usable environment gives each variable's value, an address without its closing slash."""
    environment = {"DATABASE_URL": "postgresql://u:p@h/d", "PARTS_URL": "http://parts:8000/", "HOME": "/"}

    assert read(CHECKS, environment) == {"DATABASE_URL": "postgresql://u:p@h/d", "PARTS_URL": "http://parts:8000"}


def test_all_faults_are_told_at_once():
    """One error lists each variable that is missing or unusable, and what it takes."""
    with pytest.raises(SettingsError) as caught:
        read(CHECKS, {"PARTS_URL": "parts:8000"})

    assert str(caught.value) == (
        "DATABASE_URL is not set: it takes postgresql://user:password@host:port/database.\n"
        "PARTS_URL='parts:8000' cannot be used: it takes http://host:port."
    )


@pytest.mark.parametrize(
    "url", ["mysql://joe:s3cret@h/d", "postgresql://joe:s3cret@h/d?nonsense=1", "mysql://h/d?password=s3cret"]
)
def test_a_password_is_not_shown(url):
    """A fault shows the value without what is secret in it."""
    with pytest.raises(SettingsError, match="cannot be used") as caught:
        read(CHECKS, {"DATABASE_URL": url, "PARTS_URL": "http://parts"})

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "parts", "ftp://parts", "http://", "http://parts:0", "http://parts:99999"])
def test_an_unusable_web_address_is_refused(url):
    """Only http and https with a host and a port that exists are taken."""
    with pytest.raises(ValueError, match="http://host:port"):
        web_address(url)


def test_a_password_comes_from_a_file(tmp_path):
    """It becomes part of the address, whatever characters it has; a line end is not one of them."""
    (tmp_path / "password").write_text("p w/'\\@\n")
    environment = {
        "DATABASE_URL": "postgresql://cars@db/cars",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        "PARTS_URL": "http://parts",
    }

    assert parse_dsn(read(CHECKS, environment)["DATABASE_URL"]) == {
        "user": "cars",
        "password": "p w/'\\@",
        "host": "db",
        "dbname": "cars",
    }


def test_a_file_that_is_not_there_is_a_fault():
    """It is reported with the others."""
    with pytest.raises(SettingsError) as caught:
        read(CHECKS, {"DATABASE_URL": "postgresql://db", "DATABASE_PASSWORD_FILE": "/nowhere"})

    assert str(caught.value) == (
        "'/nowhere' cannot be read: No such file or directory.\nPARTS_URL is not set: it takes http://host:port."
    )


@pytest.mark.parametrize("variable", ["DATABASE_URL", "DATABASE_PASSWORD", "PARTS_URL"])
def test_a_file_that_is_not_a_text_is_a_fault(tmp_path, variable):
    """It is named, and no value of another variable is shown for it."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    environment = {"DATABASE_URL": "postgresql://cars@db/cars", "PARTS_URL": "http://parts"}
    environment[f"{variable}_FILE"] = str(tmp_path / "binary")

    with pytest.raises(SettingsError) as caught:
        read(CHECKS, environment)

    assert str(caught.value) == f"'{tmp_path}/binary' cannot be read: it is not a text in UTF-8."
