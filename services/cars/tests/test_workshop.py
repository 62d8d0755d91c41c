"""That a car is seen whole or not at all, and nothing of the others stays."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cars.ledger import Ledger
from cars.parts_client import PartsClient
from cars.workshop import Workshop, new_id
from chassis.database import Database

from .servers import hang, hostile, served

GOLF = {"name": "VW Golf"}
NOBODY = "http://127.0.0.1:1"


def keyed(key):
    return {"Idempotency-Key": key}


@pytest.fixture
def tidy(cars_database_url, parts_app):
    """A function that tidies up, with the real parts."""
    database = Database(cars_database_url)
    with served(parts_app) as url:
        yield Workshop(Ledger(database), PartsClient(url, call_s=1.0), build_s=1.0).tidy
    database.close()


def test_the_same_key_gives_the_same_car(client):
    """A repeated request is answered as the first was."""
    first = client.post("/cars", json=GOLF, headers=keyed("k"))
    second = client.post("/cars", json=GOLF, headers=keyed("k"))

    assert (second.status_code, second.json, second.headers["Location"]) == (201, first.json, first.headers["Location"])
    assert len(client.get("/cars").json["cars"]) == 1


def test_other_keys_and_none_give_other_cars(client):
    """Only equal keys are the same request."""
    ids = {client.post("/cars", json=GOLF, headers=headers).json["id"] for headers in (keyed("a"), keyed("b"), {}, {})}

    assert len(ids) == 4


def test_the_same_key_for_another_car_is_refused(client):
    """A key stands for one request; the first car stays."""
    first = client.post("/cars", json=GOLF, headers=keyed("k")).json

    answer = client.post("/cars", json={"name": "Fiat 500"}, headers=keyed("k"))

    assert answer.status_code == 422
    assert "Golf" not in answer.text  # whoever guesses a key learns nothing of another caller's car
    assert client.get("/cars").json["cars"] == [first]


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "x" * 201])
def test_an_unusable_key_is_refused(client, key):
    """A key is visible ASCII of bounded length."""
    assert client.post("/cars", json=GOLF, headers=keyed(key)).status_code == 400


def test_equal_keys_at_once_give_one_car(client, sql):
    """However many ask together, one car is built, and all get it."""
    order = {"json": GOLF, "headers": keyed("k")}
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: client.application.test_client().post("/cars", **order), range(6)))

    assert [answer.status_code for answer in answers] == [201] * 6
    assert all(answer.json == answers[0].json for answer in answers)
    assert sql("parts", "SELECT count(*) FROM parts") == [(len(answers[0].json["parts"]),)]


def test_a_failed_order_frees_its_key(client_of, parts_app):
    """After a failure the same request may succeed, and another may take the key."""
    assert client_of(NOBODY).post("/cars", json=GOLF, headers=keyed("k")).status_code == 503

    with served(parts_app) as url:
        assert client_of(url).post("/cars", json={"name": "Fiat 500"}, headers=keyed("k")).status_code == 201


def test_a_deleted_car_frees_its_key(client):
    """A key is kept as long as its car."""
    first = client.post("/cars", json=GOLF, headers=keyed("k"))
    client.delete(first.headers["Location"])

    assert client.post("/cars", json=GOLF, headers=keyed("k")).json["id"] != first.json["id"]


def test_an_order_left_open_is_taken_up_by_its_key(client, sql):
    """When the worker died halfway, the repeated request finishes its work."""
    car_id = new_id()
    sql("cars", f"INSERT INTO orders (car_id, name, idempotency_key) VALUES ('{car_id}', 'VW Golf', 'k')")

    assert client.post("/cars", json=GOLF, headers=keyed("k")).json["id"] == str(car_id)


def test_an_order_given_up_meanwhile_makes_no_car(parts_app, client_of, sql):
    """Parts that arrive after the order was discarded build nothing, and go again."""

    def discard(response):
        sql("cars", "UPDATE orders SET state = 'discarded'")
        return response

    parts_app.after_request(discard)
    with served(parts_app) as url:
        assert client_of(url).post("/cars", json=GOLF).status_code == 503

    assert sql("cars", "SELECT * FROM cars") == sql("parts", "SELECT * FROM parts") == []


def test_parts_of_a_failed_order_are_tidied_up(client_of, tidy, sql):
    """What could not be undone at once is undone later."""
    with hostile(hang) as url:
        client_of(url, deadline_s=1.0, call_s=0.2).post("/cars", json=GOLF)
    assert sql("cars", "SELECT state FROM orders") == [("discarded",)]

    assert tidy() == (1, 0)
    assert sql("cars", "SELECT * FROM orders") == []


def test_parts_of_a_deleted_car_are_tidied_up(client, client_of, tidy, sql):
    """A car can be deleted while parts is away; its parts go later."""
    path = client.post("/cars", json=GOLF).headers["Location"]

    assert client_of(NOBODY).delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert tidy() == (1, 0)
    assert sql("parts", "SELECT * FROM parts") == []


def test_parts_of_a_dead_worker_are_tidied_up(client, tidy, sql):
    """An order open for longer than any request takes lost its worker."""
    client.post("/cars", json=GOLF)
    sql("cars", "DELETE FROM cars")
    sql("cars", "UPDATE orders SET state = 'open', created_at = now() - interval '2 minutes'")

    assert tidy() == (1, 0)
    assert sql("parts", "SELECT * FROM parts") == sql("cars", "SELECT * FROM orders") == []


def test_an_order_at_work_and_a_car_are_left_alone(client, tidy, sql):
    """Tidying touches neither a young order nor a built car."""
    client.post("/cars", json=GOLF)
    sql("cars", f"INSERT INTO orders (car_id, name) VALUES ('{new_id()}', 'Fiat 500')")

    assert tidy() == (0, 0)
    assert sql("cars", "SELECT state FROM orders ORDER BY state") == [("built",), ("open",)]


def test_what_cannot_be_tidied_up_is_left(cars_database_url, client_of, sql):
    """Without parts an order waits for the next time."""
    client_of(NOBODY).post("/cars", json=GOLF)
    database = Database(cars_database_url)

    assert Workshop(Ledger(database), PartsClient(NOBODY, call_s=0.2), build_s=1.0).tidy() == (0, 1)
    assert sql("cars", "SELECT state FROM orders") == [("discarded",)]
    database.close()


END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = '%s'"
)


def test_a_database_that_goes_away_makes_no_car(parts_app, client_of, tidy, sql):
    """When the database of cars is lost after the parts were made, no car appears, and the parts go once it is back."""
    ((name,),) = sql("cars", "SELECT current_database()")

    def take_away(response):
        sql("parts", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        sql("parts", END_CONNECTIONS % name)
        return response

    parts_app.after_request(take_away)
    with served(parts_app) as url:
        answer = client_of(url).post("/cars", json=GOLF)
    sql("parts", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    parts_app.after_request_funcs.clear()

    assert answer.status_code == 503
    assert sql("cars", "SELECT * FROM cars") == []
    assert len(sql("parts", "SELECT DISTINCT car_id FROM parts")) == 1
    sql("cars", "UPDATE orders SET created_at = now() - interval '2 minutes'")
    assert tidy() == (1, 0)
    assert sql("parts", "SELECT * FROM parts") == sql("cars", "SELECT * FROM orders") == []


def test_a_database_that_restarts_makes_the_car(parts_app, client_of, sql):
    """Connections that ended while parts was at work are opened anew; the caller does not notice."""
    ((name,),) = sql("cars", "SELECT current_database()")

    def cut(response):
        sql("parts", END_CONNECTIONS % name)
        return response

    parts_app.after_request(cut)
    with served(parts_app) as url:
        assert client_of(url).post("/cars", json=GOLF).status_code == 201

    assert len(sql("cars", "SELECT * FROM cars")) == 1


def test_ids_sort_by_time():
    """Ids are version 7 UUIDs."""
    first, second = new_id(), new_id()

    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert first.int >> 80 <= second.int >> 80
