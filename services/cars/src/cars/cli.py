"""The command `cars`."""

import sys

import dashcam
from cars.ledger import Ledger
from cars.settings import Settings
from cars.supplier import Supplier
from cars.workshop import Workshop
from chassis.command import run
from chassis.database import Database
from chassis.deadline import within
from chassis.migrations import migrate as bring_up_to_date
from chassis.settings import database_address, read

TIDY_S = 60.0  # what is not done by then is done next time


def migrate() -> str:
    """Bring the database named by DATABASE_URL to the current schema."""
    url = read({"DATABASE_URL": database_address})["DATABASE_URL"]
    return "\n".join(bring_up_to_date(url, "cars")) or "The schema is current."


def tidy() -> str:
    """Have parts removed whose car never came to be, or is deleted; to be run every few minutes."""
    settings = Settings.load()
    dashcam.init()
    ledger, supplier = Ledger(Database(settings.database_url)), Supplier(settings.parts_url, settings.call_s)
    with within(TIDY_S):
        cleared, left = Workshop(ledger, supplier, settings.deadline_s).tidy()
    return f"{cleared} cleared, {left} left."


def main() -> None:
    """Run the command that was typed and exit with its status."""
    sys.exit(run("cars", {"migrate": migrate, "tidy": tidy}))
