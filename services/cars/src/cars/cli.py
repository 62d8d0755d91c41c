"""The command `cars`."""

import sys

import dashcam
from cars.ledger import Ledger
from cars.parts_client import PartsClient
from cars.settings import Settings
from cars.workshop import Workshop
from chassis.command import run
from chassis.database import Database
from chassis.deadline import within
from chassis.migrations import migrate as bring_up_to_date
from chassis.roles import prepare as make_role
from chassis.settings import database_address, password, read

TIDY_S = 60.0  # what is not done by then is done next time


def prepare() -> str:
    """Make the role and the schema cars in the database cars, as the administrator of DATABASE_ADMIN_URL."""
    found = read({"DATABASE_ADMIN_URL": database_address, "DATABASE_PASSWORD": password})
    make_role(found["DATABASE_ADMIN_URL"], "cars", found["DATABASE_PASSWORD"])
    return "The role cars owns its schema."


def migrate() -> str:
    """Bring the database named by DATABASE_URL to the current schema."""
    url = read({"DATABASE_URL": database_address})["DATABASE_URL"]
    return "\n".join(bring_up_to_date(url, "cars")) or "The schema is current."


def tidy() -> str:
    """Have parts removed whose car never came to be, or is deleted; to be run every few minutes."""
    settings = Settings.load()
    dashcam.init()
    ledger, parts = Ledger(Database(settings.database_url)), PartsClient(settings.parts_url, settings.call_s)
    with within(TIDY_S):
        cleared, left = Workshop(ledger, parts, settings.deadline_s).tidy()
    return f"{cleared} cleared, {left} left."


def main() -> None:
    """Run the command that was typed and exit with its status."""
    sys.exit(run("cars", {"prepare": prepare, "migrate": migrate, "tidy": tidy}))
