"""The event that every benchmark of requests records: a message and eight fields."""

MESSAGE = "car created"
FIELDS = {
    "car_id": "7f0c1d2e-1111-2222-3333-000000000042",
    "car": "VW Golf",
    "wheels": 4,
    "engine": "1.6 TDI",
    "colour": "red",
    "price": 25000.5,
    "is_new": True,
    "note": "delivered",
}
