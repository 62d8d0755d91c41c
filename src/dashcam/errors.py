"""The errors of Dashcam; each says what a caller can do about it."""


class DashcamError(Exception):
    """The base class of all errors of Dashcam."""


class SettingsError(DashcamError):
    """Settings in the environment cannot be used; the message lists all faults. Exit status 2."""


class MissingExtraError(DashcamError):
    """A library of an extra is not installed; the message has the `pip install` line. Exit status 2."""


class QueryError(DashcamError):
    """A search has a syntax error; `position` is the index of the character, from 0. Exit status 2."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class StoreUnreachable(DashcamError):
    """A store did not give a complete answer; the message has its address, without secrets. Exit status 3."""


class StoreEmpty(StoreUnreachable):
    """Nothing was shipped to a store yet; the message says what to check. Exit status 3."""


class BackendUnavailable(DashcamError):
    """A destination accepted no event of the batch. The shipper sends it again, after `retry_after_s` seconds if given.

    >>> raise BackendUnavailable("the printer is out of paper", retry_after_s=60)
    Traceback (most recent call last):
    dashcam.errors.BackendUnavailable: the printer is out of paper
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BatchRejected(DashcamError):
    """A destination never accepts the batch as it is. The shipper halves it until it finds the rejected event.

    >>> raise BatchRejected("a line is wider than the paper")
    Traceback (most recent call last):
    dashcam.errors.BatchRejected: a line is wider than the paper
    """
