"""The parts service as a WSGI app: `gunicorn 'parts.app:create_app()'`."""

from flask import Flask

from chassis.database import Database
from chassis.health import database_check
from chassis.service import create_service
from parts.api import CarParts
from parts.settings import Settings
from parts.warehouse import Warehouse


def create_app(settings: Settings | None = None) -> Flask:
    """The app, with settings from the environment unless given; raises `SettingsError`."""
    settings = settings or Settings.load()
    database = Database(settings.database_url, statement_s=settings.deadline_s)
    app, api = create_service("parts", {"database": database_check(database, "parts")}, settings.deadline_s)
    app.extensions["database"] = database
    api.add_resource(CarParts, "/cars/<uuid:car_id>/parts", resource_class_args=(Warehouse(database),))
    return app
