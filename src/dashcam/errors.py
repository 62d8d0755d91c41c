"""The errors of Dashcam; each says what a caller can do about it."""


class DashcamError(Exception):
    """The base of every error of Dashcam."""


class SettingsError(DashcamError):
    """The environment holds settings that cannot be used; the text lists every fault. Exit status 2."""


class MissingExtraError(DashcamError):
    """A library is missing that an extra of the package installs; the text has the `pip` line. Exit status 2."""


class QueryError(DashcamError):
    """A search expression cannot be read; `position` is the character it stopped at, from 0. Exit status 2."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class StoreUnreachable(DashcamError):
    """A store, or a part of the stack, gave no whole answer; the text has its address, no secrets. Exit 3."""


class StoreEmpty(StoreUnreachable):
    """Nothing was shipped to a store yet; the text says what to look at. Exit status 3."""


class BackendUnavailable(DashcamError):
    """A destination took nothing of the batch now; it is sent again, after `retry_after_s` if it said so.

    >>> raise BackendUnavailable("the printer is out of paper", retry_after_s=60)
    Traceback (most recent call last):
    dashcam.errors.BackendUnavailable: the printer is out of paper
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BatchRejected(DashcamError):
    """A batch that a destination never accepts as it is; the shipper halves it down to the event that causes this.

    >>> raise BatchRejected("a line is wider than the paper")
    Traceback (most recent call last):
    dashcam.errors.BatchRejected: a line is wider than the paper
    """
