"""What became of rows of lists that were made, or could not be."""

from __future__ import annotations

from dali.errors import AuthorizationError, ProtocolError
from soda.lists.rows import ListRow
from soda.making import said
from uws.job import RowStatus
from uws.jobtype import Outcome


def with_suffix(file_name: str, suffix: str) -> str:
    """Tell a file from another of its name."""
    if not suffix:
        return file_name
    stem, dot, ending = file_name.rpartition(".")
    return f"{stem}{suffix}{dot}{ending}"


def verdict_of(fault: ProtocolError) -> str:
    """Word of the ledger for a row that cannot be made."""
    return "no_rights" if isinstance(fault, AuthorizationError) else "failed"


def failed(asked: ListRow, fault: ProtocolError, *, transient: bool = False) -> Outcome:
    """Say that a row could not be made; one that is `transient` is tried again."""
    return Outcome(
        RowStatus.FAILED,
        message=said(fault),
        transient=transient,
        verdict=verdict_of(fault),
        label=asked.label,
        facts=asked.facts,
    )
