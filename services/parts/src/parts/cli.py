"""The command `parts`."""

import sys

from chassis.command import run
from chassis.migrations import migrate as bring_up_to_date
from chassis.roles import prepare as make_role
from chassis.settings import database_address, password, read
from parts.settings import Settings


def prepare() -> str:
    """Make the role and the schema parts in the database parts, as the administrator of DATABASE_ADMIN_URL."""
    found = read({"DATABASE_ADMIN_URL": database_address, "DATABASE_PASSWORD": password})
    make_role(found["DATABASE_ADMIN_URL"], "parts", found["DATABASE_PASSWORD"])
    return "The role parts owns its schema."


def migrate() -> str:
    """Bring the database named by DATABASE_URL to the current schema."""
    return "\n".join(bring_up_to_date(Settings.load().database_url, "parts")) or "The schema is current."


def main() -> None:
    """Run the command that was typed and exit with its status."""
    sys.exit(run("parts", {"prepare": prepare, "migrate": migrate}))
