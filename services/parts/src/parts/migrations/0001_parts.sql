-- A car's set of parts. The row stays when they are removed: parts for that car are never made again,
-- so a removal that overtakes a slow request to make them still wins.
CREATE TABLE sets (
    car_id     uuid PRIMARY KEY,
    car_name   text,
    removed_at timestamptz
);

CREATE TABLE parts (
    id            uuid PRIMARY KEY,
    car_id        uuid NOT NULL REFERENCES sets,
    place         integer NOT NULL,  -- in the catalogue's order
    name          text NOT NULL,
    position      text NOT NULL,
    serial_number text NOT NULL UNIQUE,
    UNIQUE (car_id, place)
);

-- Components that cannot be had for cars whose name contains the model.
CREATE TABLE shortages (
    model     text NOT NULL,
    component text NOT NULL,
    PRIMARY KEY (model, component)
);

INSERT INTO shortages (model, component) VALUES ('DeLorean', 'body');
