"""What is done about cutouts that cannot be made; in jobs it is said the same of a row of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from dali.errors import ProtocolError, ServiceUnavailable
from soda.engine import Engine
from soda.refusals import unreadable
from surveys.errors import BrokenImage, StaleImage
from surveys.execute import CutoutResult

DATABASE_RETRY_S = 10

P = TypeVar("P")
T = TypeVar("T")


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


def with_current(engine: Engine, planned: P, plan_again: Callable[[], P], make: Callable[[P], T]) -> T:
    """Make something of a plan; where a file has changed since it was made, plan again and make that.

    A file of alerts that was replaced, and is not indexed yet, is indexed first: that is small work.

    Raises
    ------
    StaleImage
        If it is old all the same; what `make` and `plan_again` raise else, too.
    """
    try:
        return make(planned)
    except StaleImage:
        engine.catalog.refresh()
        planned = plan_again()
    try:
        return make(planned)
    except StaleImage as fault:
        if not engine.reindex(fault):
            raise
    return make(plan_again())
