-- What was asked for. An order is open until its car is built; it is discarded when the car comes to nothing or is
-- deleted, and goes when the car's parts are gone. Only an open order can become built: that is what keeps a car
-- whose parts are being removed from ever appearing.
CREATE TABLE orders (
    car_id          uuid PRIMARY KEY,
    name            text NOT NULL,
    idempotency_key text UNIQUE,
    state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'built', 'discarded')),
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_not_built ON orders (created_at) WHERE state <> 'built';

-- Cars that are complete. Their ids are version 7 UUIDs, so they sort by the time of their making.
CREATE TABLE cars (
    id         uuid PRIMARY KEY REFERENCES orders,
    name       text NOT NULL,
    parts      jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
