"""What the address of the page says: which rows are shown, in which order, from which on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from dali.errors import UsageError
from dali.parameters import Parameters
from uws.packages.asked import Selection, Sorting, parse_ledger

#: Rows that the page shows without scripts.
PER_PAGE = 24
LINK = "LINK"
_EVERYTHING = Selection()
_OF_LEDGER = ("SORT", "STATUS", "TEXT", "OFFSET")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows are shown.

    Parameters
    ----------
    selection, sorting
        Which, and in which order.
    offset
        How many are passed over.
    link
        The key by which somebody may see the job, "" for none.
    problem
        What was not understood; all rows are shown then.
    """

    selection: Selection = _EVERYTHING
    sorting: Sorting | None = None
    offset: int = 0
    link: str = ""
    problem: UsageError | None = None

    @property
    def sort(self) -> str:
        """Name of the column that rows are sorted by; "" for their own order."""
        return "" if self.sorting is None else self.sorting.column

    def query(self, **changed: str | int | Sequence[str]) -> str:
        """Write the query of the page with something changed; "?" in front, or nothing at all."""
        told: dict[str, str | int | Sequence[str]] = {
            "sort": "" if self.sorting is None else str(self.sorting),
            "status": self.selection.statuses,
            "text": self.selection.words,
            "offset": self.offset,
            **changed,
            LINK: self.link,
        }
        written = urlencode(list(_pairs(told)))
        return f"?{written}" if written else ""


def parse_asked(parameters: Parameters, statuses: Sequence[str]) -> Asked:
    """Read the address; what is wrong with it is told on the page."""
    link = parameters.one(LINK) or ""
    known = {
        name: values
        for name, values in parameters.values.items()
        if name in _OF_LEDGER and any(value.strip() for value in values)
    }
    if "SORT" in known and parameters.one("DESC"):
        # The form has a box for it.
        known["SORT"] = tuple(f"{value},desc" for value in known["SORT"])
    try:
        query = parse_ledger(Parameters(known), statuses, None)
    except UsageError as problem:
        return Asked(link=link, problem=problem)
    return Asked(query.selection, query.sorting, query.offset or 0, link)


def _pairs(told: dict[str, str | int | Sequence[str]]) -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        if isinstance(value, str | int):
            if value:
                yield name, str(value)
        else:
            yield from ((name, one) for one in value)
