"""What masking costs: any text of 64 kB takes little time, and twice the text at most a little more than twice that."""

import json
import random
import time
from itertools import chain

import pytest

from dashcam.record.logs.line import encode_call, python_encode_call
from dashcam.record.masking import mask
from dashcam.record.masking.mask import mask_text
from dashcam.record.masking.secret_words import PythonSearch

from .hostile_texts import CHOSEN, own_shapes, random_shapes, text_of, word_shapes

pytestmark = pytest.mark.skipif(isinstance(mask._search, PythonSearch), reason="needs a C compiler, then pip install")

LENGTH = 64 << 10
# The promise is 20 ms on an idle machine (docs/security.md); this one runs beside other tests.
MOST_MS = 60
WORDS = tuple(word for word, _ in mask.WORDS)
SHORT = 150  # shapes of each kind in `make test`


def _cost_ms(text):
    """The CPU time of the quickest of three tries; of one, where that is little already."""
    best_ms = float("inf")
    for _ in range(3):
        began_s = time.thread_time()
        mask_text(text)
        best_ms = min(best_ms, (time.thread_time() - began_s) * 1000)
        if best_ms < MOST_MS / 2:
            break
    return best_ms


def _dear(shapes):
    """The shapes whose text takes more than the most, each with its time."""
    costs = ((shape, _cost_ms(text_of(shape, LENGTH))) for shape in shapes)
    return {shape: round(cost_ms) for shape, cost_ms in costs if cost_ms > MOST_MS}


SHAPES = {
    "begun notations": own_shapes,
    "words and signs": lambda: word_shapes(CHOSEN),
    "every word": lambda: word_shapes(WORDS, ("", " ", "=", "='", ": ", "=[", '\\"')),
    "at random": lambda: random_shapes(1, 20_000),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_some_texts(kind):
    """A sample of each kind of shape, the same one in each run."""
    shapes = list(SHAPES[kind]())

    assert _dear(random.Random(7).sample(shapes, min(SHORT, len(shapes)))) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", SHAPES)
def test_all_texts(kind):
    """All shapes of each kind."""
    assert _dear(SHAPES[kind]()) == {}


@pytest.mark.parametrize("word", WORDS)
def test_a_text_of_one_word(word):
    """A word, a prefix or a sign again and again, and the same before a long rest that has no end."""
    for text in (word * LENGTH, f"{word}=" * LENGTH, f"{word}='" * LENGTH, word + "a-" * LENGTH):
        assert _cost_ms(text[:LENGTH]) < MOST_MS


PIECES = ("sk-", "password='", "curl -u ", "<password>", "insert into a (b) values ('", "://a", "token=[", "%2525")


@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_text(piece):
    """It takes at most three times as long: time is in proportion to the length."""
    once, twice = (piece * (4 * LENGTH))[:LENGTH], (piece * (4 * LENGTH))[: 2 * LENGTH]

    assert min(_cost_ms(twice) for _ in range(3)) < 3 * min(_cost_ms(once) for _ in range(3)) + 5


@pytest.mark.parametrize("encode_one", [encode_call, python_encode_call], ids=["compiled", "python"])
def test_a_text_with_more_secrets_than_are_looked_at(encode_one):
    """The rest is masked as a whole, and the event says so; one with a few is as ever."""
    many, few = ("password=hunter2x " * count for count in (3_000, 3))

    line, short = (json.loads(encode_one(5, "info", text, {}, b"}")) for text in (many, few))

    assert line["tags"] == ["masked-rest"]
    assert "hunter" not in line["message"]
    assert short == {"time_ns": 5, "log.level": "info", "message": "password=*** " * 3}


def test_names_of_any_length():
    """A long name of a field is searched as quickly, and as a text of JSON."""
    for text in chain.from_iterable((f"{word}-" * LENGTH, f"{word}." * LENGTH) for word in CHOSEN):
        began_s = time.thread_time()
        mask.secret_name(text[:LENGTH])
        mask.has_word(b'{"a":"%b"}' % text[:LENGTH].encode().replace(b'"', b""))

        assert (time.thread_time() - began_s) * 1000 < MOST_MS
