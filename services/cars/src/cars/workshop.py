"""Building cars and scrapping them, so that a car is seen whole or not at all."""

import secrets
import time
from uuid import UUID

from werkzeug.exceptions import HTTPException

import dashcam
from cars.ledger import BuiltCar, Ledger
from cars.parts_client import PartsClient
from chassis.deadline import within

log = dashcam.get_logger(__name__)


class Workshop:
    """Builds cars from what the parts service makes, each within `build_s` seconds."""

    def __init__(self, ledger: Ledger, parts: PartsClient, build_s: float) -> None:
        self._ledger = ledger
        self._parts = parts
        self._build_s = build_s

    def build(self, name: str, key: str | None) -> BuiltCar:
        """A new car, or the one that was built under the same key.

        Requests with equal keys work on the same car, whose parts are made once: the first to finish builds it, the
        others find it. Raises an HTTP error when there is no car; nothing of it is left, or left for `tidy`.
        """
        car_id = new_id()
        try:
            with within(self._build_s):
                car_id, car = self._ledger.open_order(car_id, name, key)
                dashcam.add(car_id=str(car_id))
                log.debug("order opened" if car is None else "car was there", car_id=str(car_id), name=name)
                return car or self._finish(car_id, name)
        except Exception:
            self._give_up(car_id)
            raise

    def scrap(self, car_id: UUID) -> None:
        """Delete a car and its parts, or leave the parts to `tidy`; raises 404."""
        self._ledger.delete_car(car_id)
        log.info("car deleted", car_id=str(car_id))
        self._clear(car_id)

    def tidy(self) -> tuple[int, int]:
        """Remove parts whose car never came to be or is deleted: how many orders are cleared, and how many are left."""
        stale = self._ledger.stale_orders()
        cleared = sum(self._give_up(car_id) for car_id in stale)
        return cleared, len(stale) - cleared

    def _finish(self, car_id: UUID, name: str) -> BuiltCar:
        car = self._ledger.finish_order(car_id, self._parts.make_parts(car_id, name))
        log.info("car created", car_id=str(car_id), name=name, parts=len(car.parts))
        return car

    def _give_up(self, car_id: UUID) -> bool:
        try:
            return self._ledger.discard_order(car_id) and self._clear(car_id)
        except HTTPException as fault:
            log.warning("order left to tidy", car_id=str(car_id), reason=fault.description)
            return False

    def _clear(self, car_id: UUID) -> bool:
        try:
            self._parts.remove_parts(car_id)
            self._ledger.close_order(car_id)
        except HTTPException as fault:
            log.warning("parts left to tidy", car_id=str(car_id), reason=fault.description)
            return False
        return True


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562): milliseconds since the epoch, then 74 random bits."""
    moment_ms = time.time_ns() // 1_000_000
    return UUID(int=moment_ms << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62))
