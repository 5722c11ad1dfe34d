"""What jobs do about cutouts that cannot be made: said the same of a row of any kind."""

from __future__ import annotations

from collections.abc import Iterator

from dali.errors import ProtocolError, ServiceUnavailable
from soda.refusals import unreadable
from surveys.errors import BrokenImage, StaleImage
from surveys.execute import CutoutResult

DATABASE_RETRY_S = 10


def database_away() -> ServiceUnavailable:
    """Tell that the database cannot be asked now."""
    return ServiceUnavailable("the database does not answer", retry_after_s=DATABASE_RETRY_S)


def said(error: ProtocolError) -> str:
    """Say on one line what is wrong."""
    return f"{error.label}: {error.sentence} {error.fix}".rstrip()


def told(result: CutoutResult, dataset: str) -> Iterator[bytes]:
    """Yield the bytes; say what is wrong with a file that fails in the middle of them."""
    try:
        yield from result.chunks()
    except (StaleImage, BrokenImage) as fault:
        raise unreadable(fault.dataset or dataset) from fault
