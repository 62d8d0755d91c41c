"""The settings of cars."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.settings import database_address, read, web_address


@dataclass(frozen=True, slots=True)
class Settings:
    """The addresses of the database and parts, and the seconds that a request, and a call of parts in it, may take."""

    database_url: str = field(repr=False)  # it may hold a password
    parts_url: str
    deadline_s: float = 10.0
    call_s: float = 3.0

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """The settings an environment gives; raises `SettingsError` with every fault."""
        found = read({"DATABASE_URL": database_address, "PARTS_URL": web_address}, environment)
        return cls(found["DATABASE_URL"], found["PARTS_URL"])
