"""Events that no service of ours would record, and searches for them that nobody would type: `lines`, `expressions`."""

import random

import orjson
from hypothesis import strategies

from dashcam.event import EncodedEvent, Event
from dashcam.find.query import And, Exists, Not, Or, Phrase, Range, Term, Wildcard
from dashcam.find.values import text_of, values_of

NUMBERS = ("http.response.status_code", "event.duration", "url.port")
TEXTS = ("message", "error.type", "error.message", "error.stack_trace", "url.path", "event.action", "tags", "labels.x")
FIELDS = (*NUMBERS, *TEXTS, "labels.a.b", "client.ip", "db.shard")

# Letters that change their number or their neighbours in small letters, marks, digits of other scripts, signs that
# a tokenizer, a pattern or a range gives a meaning to.
ALPHABET = "abkiK\u212aİ\u0131\u017f7_.-:'/ \t²½漢字ßÄäé\u0435\u0301\u05e9\u05bc🚗*?\\,;@·٣Ωσς"

_ODD_NUMBERS = [200, 200.0, 1.5, -1.5, 0, 2**63 - 1, -(2**63), "200", "abc", True, None, [200, "x"]]
_ODD_VALUES = [7, 7.0, -0.0, 1e16, 1e-7, 2**62, True, None, [], ""]
_ODD_ADDRESSES = ["127.0.0.1", "::1", "0:0:0:0:0:0:0:1", "nobody"]
_BOUNDS = [None, -3, -1.5, 0, 1.2, 1.5, 1.8, 200, 201, 2**63, 1e300]


def lines(seed: int = 7, count: int = 300) -> list[EncodedEvent]:
    """The same events in every run; each has about half of the fields."""
    chance = random.Random(seed)
    return [_line(chance, number) for number in range(count)]


def _line(chance: random.Random, number: int) -> EncodedEvent:
    event_id = f"0ddfa1b2c3d4e5f601020304-{number:08d}"
    fields: dict = {"@timestamp": f"2026-11-23T09:{number % 60:02}:00.{number:06}Z", "event": {"id": event_id}}
    for name in FIELDS:
        if chance.random() < 0.5:
            *above, last = name.split(".")
            place = fields
            for key in above:
                place = place.setdefault(key, {})
            place[last] = _value(chance, name)
    return EncodedEvent(event_id, is_span=False, data=orjson.dumps(fields))


def _value(chance: random.Random, name: str) -> object:
    if name in NUMBERS:
        return chance.choice(_ODD_NUMBERS)
    if name == "client.ip":
        return chance.choice(_ODD_ADDRESSES)
    text = "".join(chance.choices(ALPHABET, k=chance.randrange(12)))
    return chance.choice(_ODD_VALUES) if chance.random() < 0.1 else text


_EVENTS = [Event.from_json(line.data) for line in lines()]
_SEEN = sorted({(name, text_of(value)) for event in _EVENTS for name in FIELDS for value in values_of(event, name)})
_fields = strategies.sampled_from(FIELDS)
_pairs = strategies.sampled_from(_SEEN) | strategies.tuples(_fields, strategies.text(ALPHABET, max_size=12))


def _pattern(value: str, wild: list[int]) -> str:
    """A value with some signs turned into `*` or `?`, and all others taken literally."""
    signs = [f"\\{sign}" if sign in "*?\\" else sign for sign in value]
    for place in wild:
        if signs:
            signs[place % len(signs)] = "*?"[place % 2]
    return "".join(signs)


_leaves = strategies.one_of(
    _pairs.map(lambda pair: Term(*pair)),
    strategies.builds(
        lambda pair, wild: Wildcard(pair[0], _pattern(pair[1], wild)),
        _pairs,
        strategies.lists(strategies.integers(0, 30), max_size=4),
    ),
    strategies.builds(
        lambda pair, field, prefix: Phrase(pair[1], field, prefix), _pairs, _fields, strategies.booleans()
    ),
    strategies.builds(lambda pair, prefix: Phrase(pair[1], "", prefix), _pairs, strategies.booleans()),
    strategies.builds(
        Range,
        _fields,
        strategies.sampled_from(_BOUNDS),
        strategies.sampled_from(_BOUNDS),
        strategies.booleans(),
        strategies.booleans(),
    ),
    _fields.map(Exists),
)

expressions = strategies.recursive(
    _leaves,
    lambda inner: strategies.one_of(
        inner.map(Not),
        strategies.lists(inner, max_size=3).map(lambda parts: And(tuple(parts))),
        strategies.lists(inner, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=5,
)
