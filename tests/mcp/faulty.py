"""Cars or parts with faults in them: `python -m tests.mcp.faulty cars|parts`; a request ID `fault-NAME` asks for one.

Each fault replaces a function of the service for that one request. `cause` fits the line that a person would have to
see to know what is wrong.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from werkzeug.exceptions import InternalServerError
from werkzeug.serving import WSGIRequestHandler, make_server

import cars.api
import cars.app
import cars.ledger
import cars.parts_client
import cars.workshop
import dashcam
import parts.api
import parts.app
import parts.warehouse
from chassis.deadline import within

log = dashcam.get_logger(__name__)

Original = Callable[..., Any]


@dataclass(frozen=True)
class Fault:
    """The function that it replaces, what it does instead, given the original, and what its line looks like."""

    owner: Any
    name: str
    act: Callable[..., Any]
    cause: str


def raising(error):
    def act(original, *arguments):
        raise error

    return act


def statement(text):
    """Run a statement before what the function does with its cursor."""

    def act(original, statements, *arguments):
        for one in text.split(";"):
            statements.execute(one)
        return original(statements, *arguments)

    return act


def asleep(seconds):
    def act(original, *arguments):
        time.sleep(seconds)
        return original(*arguments)

    return act


def twice(original, statements, car_id, made):
    original(statements, car_id, made)
    return original(statements, car_id, made)


def without_name(original, statements, car_id, made):
    return original(statements, car_id, [replace(made[0], name=None), *made[1:]])


def die(original, *arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def nest(original, *arguments):
    return nest(original, *arguments)


def disconnect(original, statements, *arguments):
    statements.connection.close()
    return original(statements, *arguments)


def read_prices(original, *arguments):
    return Path("/etc/parts/prices.csv").read_text()


def warn_first(original, *arguments):
    log.warning("the price list could not be read, there are no prices", path="/etc/prices.csv")
    raise LookupError("no price")


def call(address):
    def act(original, *arguments):
        requests.get(address, timeout=2)

    return act


def unreachable(original, self, method, path, body=None):
    self._url = "http://127.0.0.1:1"
    try:
        return original(self, method, path, body)
    finally:
        self._url = sys.argv[2]


def impatient(original, self, method, path, body=None):
    with within(0.0001):
        return original(self, method, path, body)


def none_left(original, car_id, made):
    return {"car_id": str(car_id), "parts": []}


def set_of_parts(original, car_id, made):
    return {"car_id": str(car_id), "parts": {1, 2}}


def nameless(original, car_id, made):
    return {"car_id": str(car_id), "parts": [{"id": "7"}]}


def same_car_again(original, self, car_id, made):
    original(self, car_id, made)
    with self._database.transaction() as statements:
        statements.execute("INSERT INTO cars (id, name, parts) VALUES (%s, 'x', '[]')", (car_id,))


STOCK, INSERT, SHOWN = (
    (parts.warehouse, "_check_stock"),
    (parts.warehouse, "_insert"),
    (parts.api, "_shown"),
)
MAKE = (parts.warehouse.Warehouse, "make")
ATTEMPT = (cars.parts_client.PartsClient, "_attempt")
FINISH = (cars.ledger.Ledger, "finish_order")

FAULTS = {
    "parts-key": Fault(*STOCK, raising(KeyError("voltage")), "KeyError: 'voltage'"),
    "parts-zero": Fault(*STOCK, lambda *_: 1 // 0, "ZeroDivisionError"),
    "parts-twice": Fault(*INSERT, twice, "UniqueViolation: duplicate key"),
    "parts-null": Fault(*INSERT, without_name, "NotNullViolation: null value in column"),
    "parts-table": Fault(*STOCK, statement("SELECT * FROM partz"), 'UndefinedTable: relation "partz"'),
    "parts-column": Fault(*STOCK, statement("SELECT colour FROM parts"), 'UndefinedColumn: column "colour"'),
    "parts-timeout": Fault(
        *STOCK, statement("SET LOCAL statement_timeout = 50; SELECT pg_sleep(2)"), "canceling statement|SELECT pg_sleep"
    ),
    "parts-sql-zero": Fault(*STOCK, statement("SELECT 1 / 0"), "DivisionByZero|SELECT 1 / 0"),
    "parts-cast": Fault(*STOCK, statement("SELECT 'many'::int"), "InvalidTextRepresentation"),
    "parts-closed": Fault(*STOCK, disconnect, "The database gave no answer|connection already closed|InterfaceError"),
    "parts-terminated": Fault(
        *STOCK, statement("SELECT pg_terminate_backend(pg_backend_pid())"), "terminat|AdminShutdown"
    ),
    "parts-slow-query": Fault(*STOCK, statement("SELECT pg_sleep(0.7)"), r"slow .*SELECT pg_sleep"),
    "parts-slow-code": Fault(*MAKE, asleep(0.7), r"slow .*parts .*PUT"),
    "parts-memory": Fault(*MAKE, raising(MemoryError("no room for a car")), "MemoryError: no room"),
    "parts-recursion": Fault(*MAKE, nest, "RecursionError"),
    "parts-json": Fault(*SHOWN, set_of_parts, "TypeError: .*set is not JSON serializable"),
    "parts-says-500": Fault(
        *MAKE, raising(InternalServerError("The warehouse burnt down.")), "warehouse burnt down|500"
    ),
    "parts-empty": Fault(*SHOWN, none_left, "parts answered something else than parts"),
    "parts-nameless": Fault(*SHOWN, nameless, "parts answered something else than parts"),
    "parts-file": Fault(*MAKE, read_prices, "FileNotFoundError.*prices.csv"),
    "parts-call": Fault(*MAKE, call("http://127.0.0.1:1/stock"), "ConnectionError|Connection refused"),
    "parts-name": Fault(*MAKE, call("http://no-such-host.invalid/stock"), "no-such-host.invalid"),
    "parts-unicode": Fault(*MAKE, lambda *_: b"\xff".decode(), "UnicodeDecodeError"),
    "parts-assertion": Fault(*MAKE, raising(AssertionError("an odd number of wheels")), "an odd number of wheels"),
    "parts-warning": Fault(*MAKE, warn_first, "price list could not be read"),
    "cars-unreachable": Fault(*ATTEMPT, unreachable, "parts cannot be reached|Connection refused"),
    "cars-impatient": Fault(*ATTEMPT, impatient, "parts gave no answer in time"),
    "cars-twice": Fault(*FINISH, same_car_again, "UniqueViolation: duplicate key"),
    "cars-none": Fault(*FINISH, lambda *_: None, "AttributeError: 'NoneType' object has no attribute 'parts'"),
    "cars-type": Fault(cars.workshop, "new_id", lambda *_: len(7), "TypeError: object of type 'int' has no len"),
    "parts-killed": Fault(*MAKE, die, "request aborted|aborted"),
}
"""The last one ends the service, which is started again."""


def inject(name: str, fault: Fault) -> None:
    original = getattr(fault.owner, fault.name)

    def instead(*arguments, **options):
        if dashcam.request_id() == f"fault-{name}":
            return fault.act(original, *arguments, **options)
        return original(*arguments, **options)

    setattr(fault.owner, fault.name, instead)


class QuietHandler(WSGIRequestHandler):
    def log(self, *arguments):
        pass


def main() -> None:
    for name, fault in FAULTS.items():
        inject(name, fault)
    app = {"cars": cars.app, "parts": parts.app}[sys.argv[1]].create_app()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
