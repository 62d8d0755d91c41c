"""The command `parts`."""

import sys

from chassis.command import run
from chassis.migrations import migrate as bring_up_to_date
from parts.settings import Settings


def migrate() -> str:
    """Bring the database named by DATABASE_URL to the current schema."""
    return "\n".join(bring_up_to_date(Settings.load().database_url, "parts")) or "The schema is current."


def main() -> None:
    """Run the command that was typed and exit with its status."""
    sys.exit(run("parts", {"migrate": migrate}))
