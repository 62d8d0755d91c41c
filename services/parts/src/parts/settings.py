"""The settings of parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.settings import database_address, read


@dataclass(frozen=True, slots=True)
class Settings:
    """The address of the database, and the seconds that a request may take."""

    database_url: str = field(repr=False)  # it may hold a password
    deadline_s: float = 3.0  # cars waits no longer for an answer

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """The settings an environment gives; raises `SettingsError`."""
        return cls(read({"DATABASE_URL": database_address}, environment)["DATABASE_URL"])
