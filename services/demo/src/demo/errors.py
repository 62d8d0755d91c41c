"""What can go wrong with the demo."""


class DemoError(Exception):
    """The demo cannot go on; `status` is its exit status, one of those of `dashcam`."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
