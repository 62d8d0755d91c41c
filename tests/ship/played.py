"""A backend that answers what a test tells it to, and remembers what it was sent."""

import threading

from dashcam.event import EncodedEvent
from dashcam.ship.batch import Limits


def events(count):
    """Some events; each number gives the same one."""
    return [EncodedEvent(f"seg-{number:08d}", is_span=False, data=b'{"number":%d}' % number) for number in range(count)]


class Played:
    """Gives one answer after another, then takes everything: an error is raised, a call is asked, else it is given."""

    def __init__(self, *answers, limits=None):
        self.limits = limits or Limits(events=100, bytes=1_000_000)
        self.answers = list(answers)
        self.attempts = []
        self.is_closed = False
        self._asking = threading.Lock()

    def ship(self, batch):
        """Answer as told."""
        with self._asking:
            self.attempts.append([line.id for line in batch])
            answer = self.answers.pop(0) if self.answers else None
        if callable(answer):
            answer = answer(batch)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        """Remember that it was closed."""
        self.is_closed = True


class Accepting(Played):
    """Decides by itself what to take of each batch: `decide` gives an answer of `ship`; what it took is `taken`."""

    def __init__(self, decide, limits=None):
        super().__init__(limits=limits)
        self.accepted = []
        self._decide = decide

    def ship(self, batch):
        """Take what is neither refused nor to come again."""
        answer = self._decide(batch)
        if isinstance(answer, Exception):
            raise answer
        left = {*answer.retry, *answer.rejected} if answer else set()
        with self._asking:
            self.accepted += [line.id for place, line in enumerate(batch) if place not in left]
        return answer
