from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

GOLF = {"name": "VW Golf"}


def test_a_car_is_created_with_its_parts(client):
    """The answer is the car, whole, and where to find it."""
    answer = client.post("/cars", json=GOLF)

    car = answer.json
    assert answer.status_code == 201
    assert list(car) == ["id", "name", "parts", "created_at"]
    assert car["name"] == "VW Golf"
    assert sum(part["name"] == "wheel" for part in car["parts"]) == 4
    assert {"engine", "body", "door", "seat"} < {part["name"] for part in car["parts"]}
    assert answer.headers["Location"] == f"/cars/{UUID(car['id'])}"


def test_a_car_knows_when_it_was_created(client):
    """The time is UTC and says so."""
    created_at = datetime.fromisoformat(client.post("/cars", json=GOLF).json["created_at"])

    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


def test_a_car_is_found_again(client):
    """What was created is there, unchanged."""
    answer = client.post("/cars", json=GOLF)

    assert client.get(answer.headers["Location"]).json == answer.json


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("car_id", ["0193a1b2-c3d4-4e5f-8601-000000000007", "7", "x" * 500])
def test_an_unknown_car_is_not_found(client, method, car_id):
    """Without such a car there is a problem, which carries the request's ID."""
    answer = client.open(f"/cars/{car_id}", method=method, headers={"X-Request-ID": "find-7"})

    assert (answer.status_code, answer.json["request_id"]) == (404, "find-7")


def test_a_deleted_car_is_gone_with_its_parts(client, sql):
    """Nothing of it is left in either service."""
    path = client.post("/cars", json=GOLF).headers["Location"]

    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.delete(path).status_code == 404
    assert sql("parts", "SELECT * FROM parts") == sql("cars", "SELECT * FROM orders") == []


def test_cars_come_in_pages(client):
    """Page by page every car is seen once, oldest first."""
    made = [client.post("/cars", json={"name": f"car {number}"}).json for number in range(5)]

    seen, after, sizes = [], "", []
    while after is not None:
        page = client.get(f"/cars?limit=2&after={after}").json
        seen, after, sizes = seen + page["cars"], page["next"], [*sizes, len(page["cars"])]

    assert sizes == [2, 2, 1]
    assert seen == sorted(made, key=lambda car: car["id"])


def test_a_full_last_page_has_no_next(client):
    """A page that ends with the last car says so."""
    client.post("/cars", json=GOLF)
    client.post("/cars", json=GOLF)

    assert client.get("/cars?limit=2").json["next"] is None


def test_a_page_goes_on_where_a_deleted_car_stood(client):
    """The place in the list does not depend on the car that was there."""
    for number in range(3):
        client.post("/cars", json={"name": f"car {number}"})
    ids = [car["id"] for car in client.get("/cars").json["cars"]]

    client.delete(f"/cars/{ids[1]}")

    assert [car["id"] for car in client.get(f"/cars?after={ids[1]}").json["cars"]] == ids[2:]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=", "limit=²", "after=x"])
def test_an_unusable_page_is_refused(client, query):
    """A page is asked for with a number and an id, or not at all."""
    answer = client.get(f"/cars?{query}")

    assert answer.status_code == 400
    assert "cannot be used" in answer.json["detail"]


@pytest.mark.parametrize("body", [{}, {"name": 7}, {"name": ""}, {"name": "x" * 101}, GOLF | {"wheels": 3}, []])
def test_an_unusable_order_is_refused(client, body):
    """A car is ordered by its name and nothing else."""
    answer = client.post("/cars", json=body)

    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")


def test_the_service_is_ready(client):
    """With its database and parts at hand the service can work."""
    assert client.get("/readyz").json == {"status": "ready"}


def test_without_parts_the_service_is_not_ready_but_alive(client_of):
    """What is missing is named."""
    client = client_of("http://127.0.0.1:1")

    assert client.get("/readyz").json["detail"] == "Not ready. parts: parts cannot be reached."
    assert client.get("/healthz").status_code == 200


def test_a_car_can_be_read_while_parts_is_away(client, client_of):
    """Reading a car needs nobody else."""
    made = client.post("/cars", json=GOLF)

    assert client_of("http://127.0.0.1:1").get(made.headers["Location"]).json == made.json
