"""The internal API: the parts of one car, as one resource."""

from typing import Any
from uuid import UUID

from flask_restful import Resource

import dashcam
from chassis.body import read_texts
from parts.warehouse import Part, Warehouse

log = dashcam.get_logger(__name__)


class CarParts(Resource):
    """`/cars/<car_id>/parts`. A PUT or DELETE may be repeated: the second changes nothing."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def get(self, car_id: UUID) -> dict[str, Any]:
        """The parts of a car; 404 if there are none."""
        return _shown(car_id, self._warehouse.find(car_id))

    def put(self, car_id: UUID) -> tuple[dict[str, Any], int]:
        """Make the parts of a car: 201, or 200 when they were there.

        503 when one is out of stock, 409 when the car has another name, 410 when its parts were removed.
        """
        dashcam.add(car_id=str(car_id))
        name = read_texts({"name": 100})["name"]
        log.debug("parts wanted", car_id=str(car_id), name=name)
        parts, is_new = self._warehouse.make(car_id, name)
        log.info("parts made" if is_new else "parts were there", car_id=str(car_id), parts=len(parts))
        return _shown(car_id, parts), 201 if is_new else 200

    def delete(self, car_id: UUID) -> tuple[str, int]:
        """Remove the parts of a car, for ever: 204 whether there were any or not."""
        dashcam.add(car_id=str(car_id))
        removed = self._warehouse.remove(car_id)
        log.info("parts removed", car_id=str(car_id), parts=removed)
        return "", 204


def _shown(car_id: UUID, parts: list[Part]) -> dict[str, Any]:
    return {"car_id": str(car_id), "parts": [part.to_json() for part in parts]}
