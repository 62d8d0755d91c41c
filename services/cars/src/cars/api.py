"""The public API."""

import re
from typing import Any
from uuid import UUID

from flask import request, url_for
from flask_restful import Resource
from werkzeug.exceptions import BadRequest

from cars.ledger import Ledger
from cars.workshop import Workshop
from chassis.body import read_texts

PAGE = 20
LARGEST_PAGE = 100


class Cars(Resource):
    """`/cars`."""

    def __init__(self, ledger: Ledger, workshop: Workshop) -> None:
        self._ledger = ledger
        self._workshop = workshop

    def get(self) -> dict[str, Any]:
        """A page of cars, oldest first; `next` is what `after` takes for the page that follows, null on the last."""
        limit = _read_limit()
        cars = self._ledger.list_cars(limit + 1, _read_after())
        following = str(cars[limit - 1].id) if len(cars) > limit else None
        return {"cars": [car.to_json() for car in cars[:limit]], "next": following}

    def post(self) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Build a car: 201, also when a request with the same Idempotency-Key built it before."""
        car = self._workshop.build(read_texts({"name": 100})["name"], _read_key())
        return car.to_json(), 201, {"Location": url_for("car", car_id=car.id)}


class Car(Resource):
    """`/cars/<car_id>`."""

    def __init__(self, ledger: Ledger, workshop: Workshop) -> None:
        self._ledger = ledger
        self._workshop = workshop

    def get(self, car_id: UUID) -> dict[str, Any]:
        """The car; 404 if there is none."""
        return self._ledger.find_car(car_id).to_json()

    def delete(self, car_id: UUID) -> tuple[str, int]:
        """Delete the car and its parts; 404 if there is none."""
        self._workshop.scrap(car_id)
        return "", 204


def _read_limit() -> int:
    text = request.args.get("limit", str(PAGE))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= LARGEST_PAGE:
        raise BadRequest(f"limit={text!r} cannot be used: it takes 1 to {LARGEST_PAGE}.")
    return int(text)


def _read_after() -> UUID | None:
    text = request.args.get("after")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise BadRequest(f"after={text!r} cannot be used: it takes the `next` of the page before.") from None


def _read_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[!-~]{1,200}", key):
        raise BadRequest("Idempotency-Key cannot be used: it takes 1 to 200 visible ASCII characters.")
    return key
