"""The parts of cars, in the database."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID, uuid4

from psycopg2.extensions import cursor
from werkzeug.exceptions import Conflict, Gone, NotFound, ServiceUnavailable

from chassis.database import Database
from parts.catalogue import COMPONENTS, Component

RESTOCK_S = 24 * 60 * 60  # the supplier comes once a day


@dataclass(frozen=True, slots=True)
class Part:
    """One part of one car."""

    id: UUID
    name: str
    position: str
    serial_number: str

    @classmethod
    def of(cls, component: Component) -> "Part":
        """A new part, with a serial number such as `ENG-5F0C2A9E81D4`."""
        return cls(uuid4(), *component, f"{component.name[:3].upper()}-{secrets.token_hex(6).upper()}")

    def to_json(self) -> dict[str, str]:
        """The part as the API shows it; `position` is there only if it has one."""
        return {name: str(value) for name, value in asdict(self).items() if value}


class Warehouse:
    """Makes, finds and removes the parts of cars."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, car_id: UUID, car_name: str) -> tuple[list[Part], bool]:
        """The parts of a car in the catalogue's order, and whether they were made now.

        Raises 503 when one is out of stock, 409 when they were made for another name, 410 when they were removed.
        """
        with self._database.transaction() as statements:
            statements.execute(
                "INSERT INTO sets (car_id, car_name) VALUES (%s, %s) ON CONFLICT DO NOTHING", (car_id, car_name)
            )
            is_new = statements.rowcount == 1
            if is_new:
                _check_stock(statements, car_name)
                _insert(statements, car_id, [Part.of(component) for component in COMPONENTS])
            else:
                _check_set(statements, car_id, car_name)
            return _select(statements, car_id), is_new

    def find(self, car_id: UUID) -> list[Part]:
        """The parts of a car in the catalogue's order; raises 404 when there are none."""
        with self._database.transaction() as statements:
            parts = _select(statements, car_id)
        if not parts:
            raise NotFound(f"There are no parts of a car {car_id}.")
        return parts

    def remove(self, car_id: UUID) -> int:
        """Remove a car's parts for ever, and give how many there were."""
        with self._database.transaction() as statements:
            statements.execute(
                "INSERT INTO sets (car_id, removed_at) VALUES (%s, now())"
                " ON CONFLICT (car_id) DO UPDATE SET removed_at = coalesce(sets.removed_at, now())",
                (car_id,),
            )
            statements.execute("DELETE FROM parts WHERE car_id = %s", (car_id,))
            return statements.rowcount


def _check_stock(statements: cursor, car_name: str) -> None:
    statements.execute("SELECT component FROM shortages WHERE strpos(lower(%s), lower(model)) > 0", (car_name,))
    if missing := [component for (component,) in statements]:
        raise ServiceUnavailable(f"Out of stock for a {car_name!r}: {', '.join(missing)}.", retry_after=RESTOCK_S)


def _check_set(statements: cursor, car_id: UUID, car_name: str) -> None:
    statements.execute("SELECT car_name, removed_at FROM sets WHERE car_id = %s", (car_id,))
    [(known_name, removed_at)] = statements.fetchall()
    if removed_at:
        raise Gone(f"The parts of car {car_id} were removed at {removed_at:%Y-%m-%d %H:%M:%S} UTC.")
    if known_name != car_name:
        raise Conflict(f"The parts of car {car_id} were made for another name.")


def _insert(statements: cursor, car_id: UUID, parts: Sequence[Part]) -> None:
    columns = zip(*((part.id, part.name, part.position, part.serial_number) for part in parts), strict=True)
    statements.execute(
        "INSERT INTO parts (car_id, place, id, name, position, serial_number)"
        " SELECT %s, place, id, name, position, serial_number"
        " FROM unnest(%s::uuid[], %s, %s, %s) WITH ORDINALITY AS made (id, name, position, serial_number, place)",
        (car_id, *(list(column) for column in columns)),
    )


def _select(statements: cursor, car_id: UUID) -> list[Part]:
    statements.execute(
        "SELECT id, name, position, serial_number FROM parts WHERE car_id = %s ORDER BY place", (car_id,)
    )
    return [Part(*row) for row in statements]
