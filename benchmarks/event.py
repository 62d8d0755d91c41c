"""The event that every way of logging records, a message and eight fields, and how a caller writes it down.

A caller that gives a dictionary makes it for the call; one that gives keywords leaves that to whom it calls.
"""

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
CAR_ID, CAR, WHEELS, ENGINE, COLOUR, PRICE, IS_NEW, NOTE = FIELDS.values()


def with_keywords(info):
    """A call such as `info("car created", car="VW Golf", …)`."""

    def call():
        info(
            MESSAGE,
            car_id=CAR_ID,
            car=CAR,
            wheels=WHEELS,
            engine=ENGINE,
            colour=COLOUR,
            price=PRICE,
            is_new=IS_NEW,
            note=NOTE,
        )

    return call


def with_dictionary(info):
    """A call such as `info("car created", {"car": "VW Golf", …})`."""

    def call():
        info(
            MESSAGE,
            {
                "car_id": CAR_ID,
                "car": CAR,
                "wheels": WHEELS,
                "engine": ENGINE,
                "colour": COLOUR,
                "price": PRICE,
                "is_new": IS_NEW,
                "note": NOTE,
            },
        )

    return call


def with_extra(info):
    """A call such as `info("car created", extra={"car": "VW Golf", …})`."""

    def call():
        info(
            MESSAGE,
            extra={
                "car_id": CAR_ID,
                "car": CAR,
                "wheels": WHEELS,
                "engine": ENGINE,
                "colour": COLOUR,
                "price": PRICE,
                "is_new": IS_NEW,
                "note": NOTE,
            },
        )

    return call
