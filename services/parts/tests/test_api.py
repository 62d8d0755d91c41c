from collections import Counter
from uuid import uuid4

import pytest


@pytest.fixture
def path():
    """The address of a car's parts."""
    return f"/cars/{uuid4()}/parts"


def test_a_car_gets_all_its_parts(client, path):
    """A car has what a person expects of one, in the number expected."""
    answer = client.put(path, json={"name": "VW Golf"})

    names = Counter(part["name"] for part in answer.json["parts"])
    assert answer.status_code == 201
    assert names["engine"] == names["body"] == names["transmission"] == names["steering wheel"] == 1
    assert names["wheel"] == names["brake"] == names["door"] == 4


def test_each_part_is_one_of_a_kind(client, path):
    """No two parts share an id or a serial number."""
    parts = client.put(path, json={"name": "VW Golf"}).json["parts"]

    assert len({part["id"] for part in parts}) == len({part["serial_number"] for part in parts}) == len(parts)


def test_a_repeated_put_gives_the_same_parts(client, path):
    """A caller that lost the answer may just ask again."""
    first = client.put(path, json={"name": "VW Golf"})
    second = client.put(path, json={"name": "VW Golf"})

    assert (second.status_code, second.json) == (200, first.json)


def test_parts_are_found_again(client, path):
    """What was made is there, in the same order."""
    made = client.put(path, json={"name": "VW Golf"}).json

    assert client.get(path).json == made


def test_parts_never_made_are_not_found(client, path):
    """A car without parts has none to show."""
    assert client.get(path).status_code == 404


def test_another_name_for_the_same_car_is_refused(client, path):
    """One car id stands for one car."""
    client.put(path, json={"name": "VW Golf"})

    answer = client.put(path, json={"name": "Fiat 500"})

    assert answer.status_code == 409
    assert "Golf" not in answer.text


def test_removed_parts_are_gone(client, path):
    """After a removal there is nothing, and a second removal is fine."""
    client.put(path, json={"name": "VW Golf"})

    assert client.delete(path).status_code == client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_parts_are_not_made_after_their_removal(client, path):
    """A removal that overtakes the request to make the parts still wins."""
    client.delete(path)

    assert client.put(path, json={"name": "VW Golf"}).status_code == 410


def test_a_part_out_of_stock_is_told(client, path):
    """A car for which a part cannot be had gets none at all, and the caller learns why and when to come again."""
    answer = client.put(path, json={"name": "DMC DeLorean"})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "86400")
    assert answer.json["detail"] == "Out of stock for a 'DMC DeLorean': body."
    assert client.get(path).status_code == 404


def test_a_put_works_again_after_restocking(client, path, warehouse):
    """A car that failed for want of a part can be made later under the same id."""
    client.put(path, json={"name": "DMC DeLorean"})
    with warehouse._database.transaction() as statements:
        statements.execute("DELETE FROM shortages")

    assert client.put(path, json={"name": "DMC DeLorean"}).status_code == 201


def test_an_id_that_is_none_is_not_found(client):
    """A car id is a UUID."""
    assert client.put("/cars/7/parts", json={"name": "VW Golf"}).status_code == 404


def test_the_service_is_ready(client):
    """With its database at hand the service can work."""
    assert client.get("/readyz").json == {"status": "ready"}
