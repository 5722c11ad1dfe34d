"""What may go wrong, and the exit status that tells of it."""

from __future__ import annotations

from typing import ClassVar

OK = 0
FAILED = 1
USAGE = 2
ROWS_FAILED = 3
UNREACHABLE = 4
INTERRUPTED = 130


class BatchFault(Exception):
    """Something that ends the command; its text is for people."""

    status: ClassVar[int] = FAILED


class Refused(BatchFault):
    """The request is wrong, or the service does not take it."""

    status = USAGE


class NotThere(Refused):
    """The service has nothing at that address."""


class Unreachable(BatchFault):
    """The service does not answer, or not now: worth another try after `retry_after_s` seconds."""

    status = UNREACHABLE

    def __init__(self, told: str, retry_after_s: float = 0.0) -> None:
        super().__init__(told)
        self.retry_after_s = retry_after_s
