"""The cars service as a WSGI app: `gunicorn 'cars.app:create_app()'`."""

from flask import Flask

from cars.api import Car, Cars
from cars.ledger import Ledger
from cars.parts_client import PartsClient
from cars.settings import Settings
from cars.workshop import Workshop
from chassis.database import Database
from chassis.health import database_check
from chassis.service import create_service


def create_app(settings: Settings | None = None) -> Flask:
    """The app, with settings from the environment unless given; raises `SettingsError`."""
    settings = settings or Settings.load()
    database = Database(settings.database_url, statement_s=settings.deadline_s)
    parts = PartsClient(settings.parts_url, settings.call_s)
    ledger = Ledger(database)
    checks = {"database": database_check(database, "cars"), "parts": parts.check}
    app, api = create_service("cars", checks, settings.deadline_s)
    app.extensions |= {"database": database, "parts": parts}
    # A fifth of the time is kept for undoing what came to nothing.
    workshop = Workshop(ledger, parts, build_s=settings.deadline_s * 0.8)
    api.add_resource(Cars, "/cars", resource_class_args=(ledger, workshop))
    api.add_resource(Car, "/cars/<uuid:car_id>", resource_class_args=(ledger, workshop))
    return app
