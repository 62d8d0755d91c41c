"""Orders and cars, in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg2.extensions import cursor
from psycopg2.extras import Json
from werkzeug.exceptions import NotFound, ServiceUnavailable, UnprocessableEntity

from chassis.database import Database

OPEN_AT_MOST_S = 60.0  # an order open for longer lost its worker: no request takes that long


@dataclass(frozen=True, slots=True)
class BuiltCar:
    """One complete car."""

    id: UUID
    name: str
    parts: list[dict[str, Any]]
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        """The car as the API shows it."""
        shown = {"id": str(self.id), "name": self.name, "parts": self.parts}
        return shown | {"created_at": self.created_at.isoformat().replace("+00:00", "Z")}


class Ledger:
    """Opens, finishes and discards orders; finds cars. Each call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_order(self, car_id: UUID, name: str, key: str | None) -> tuple[UUID, BuiltCar | None]:
        """Open an order for a new car, or find the one with the same key: its car's id, and its car if it is built.

        Raises 422 when the key stands for a car of another name.
        """
        with self._database.transaction() as statements:
            statements.execute(
                "INSERT INTO orders (car_id, name, idempotency_key) VALUES (%s, %s, %s)"
                " ON CONFLICT (idempotency_key) DO UPDATE SET idempotency_key = excluded.idempotency_key"
                " RETURNING car_id, name",  # the update changes nothing, it locks the row and returns it
                (car_id, name, key),
            )
            [(car_id, ordered_name)] = statements.fetchall()
            if ordered_name != name:
                raise UnprocessableEntity("This Idempotency-Key was used for a car of another name.")
            return car_id, _select(statements, car_id)

    def finish_order(self, car_id: UUID, parts: list[dict[str, Any]]) -> BuiltCar:
        """Turn an open order into a car, or find the car it became; raises 503 when it was discarded meanwhile."""
        with self._database.transaction() as statements:
            statements.execute(
                "WITH built AS (UPDATE orders SET state = 'built' WHERE car_id = %s AND state = 'open' RETURNING *)"
                " INSERT INTO cars (id, name, parts) SELECT car_id, name, %s FROM built",
                (car_id, Json(parts)),
            )
            car = _select(statements, car_id)
        if car is None:
            raise ServiceUnavailable("The order was given up meanwhile.", retry_after=1)
        return car

    def discard_order(self, car_id: UUID) -> bool:
        """Give an open order up, which frees its key; gives whether its car's parts are to be removed now."""
        with self._database.transaction() as statements:
            statements.execute(
                "UPDATE orders SET state = 'discarded', idempotency_key = NULL WHERE car_id = %s AND state <> 'built'",
                (car_id,),
            )
            return statements.rowcount == 1

    def delete_car(self, car_id: UUID) -> None:
        """Delete a car and discard its order; raises 404."""
        with self._database.transaction() as statements:
            statements.execute("DELETE FROM cars WHERE id = %s", (car_id,))
            if not statements.rowcount:
                raise _no_car(car_id)
            statements.execute(
                "UPDATE orders SET state = 'discarded', idempotency_key = NULL WHERE car_id = %s", (car_id,)
            )

    def close_order(self, car_id: UUID) -> None:
        """Forget a discarded order; its car's parts are gone."""
        with self._database.transaction() as statements:
            statements.execute("DELETE FROM orders WHERE car_id = %s AND state = 'discarded'", (car_id,))

    def stale_orders(self, open_at_most_s: float = OPEN_AT_MOST_S) -> list[UUID]:
        """The car ids of orders whose parts wait to be removed: discarded, or left open by a worker that died."""
        with self._database.transaction() as statements:
            statements.execute(
                "SELECT car_id FROM orders WHERE state = 'discarded'"
                " OR state = 'open' AND created_at < now() - make_interval(secs => %s) ORDER BY created_at",
                (open_at_most_s,),
            )
            return [car_id for (car_id,) in statements]

    def find_car(self, car_id: UUID) -> BuiltCar:
        """A complete car; raises 404."""
        with self._database.transaction() as statements:
            car = _select(statements, car_id)
        if car is None:
            raise _no_car(car_id)
        return car

    def list_cars(self, limit: int, after: UUID | None) -> list[BuiltCar]:
        """Up to `limit` complete cars in the order of their ids, those beyond `after` if given."""
        with self._database.transaction() as statements:
            statements.execute(
                "SELECT id, name, parts, created_at FROM cars WHERE id > %s ORDER BY id LIMIT %s",
                (after or UUID(int=0), limit),
            )
            return [BuiltCar(*row) for row in statements]


def _select(statements: cursor, car_id: UUID) -> BuiltCar | None:
    statements.execute("SELECT id, name, parts, created_at FROM cars WHERE id = %s", (car_id,))
    return next((BuiltCar(*row) for row in statements), None)


def _no_car(car_id: UUID) -> NotFound:
    return NotFound(f"There is no car {car_id}.")
