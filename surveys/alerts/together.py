"""Stamps of many products read together: each page of a file is read once, whatever product wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from surveys.alert import AlertRecord, LakeFile
from surveys.alerts.reading import Lakes, StampCatalog
from surveys.errors import BrokenImage, StaleImage
from surveys.lake import Lake
from surveys.plan import CutoutPlan
from surveys.survey import Survey


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the stamps of a kind lie in a file, and of which file and kind that is said."""

    file_id: int
    kind: str
    pages: Any


class ReadTogether:
    """A catalog for the making of some products whose stamps it has read already.

    What could not be read is read again when its product is made, which is then told what is wrong.

    Parameters
    ----------
    catalog
        The index.
    plans
        Of the products.
    records
        All alerts of the plans, by their keys.
    """

    def __init__(
        self, catalog: StampCatalog, plans: Iterable[CutoutPlan], records: Mapping[int, AlertRecord]
    ) -> None:
        self._catalog = catalog
        self._records = records
        self._values: dict[tuple[int, str], dict[int, bytes | None]] = {}
        self._read(plans)

    @property
    def alerts(self) -> ReadTogether:
        """The index of alerts."""
        return self

    @property
    def lakes(self) -> Lakes:
        """Files of the lakes."""
        return self

    def survey(self, name: str) -> Survey:
        """Survey of this name."""
        return self._catalog.survey(name)

    def records(self, ids: Sequence[int]) -> Mapping[int, AlertRecord]:
        """Alerts by their keys."""
        try:
            return {key: self._records[key] for key in ids}
        except KeyError:
            return self._catalog.alerts.records(ids)

    def pages(self, file: LakeFile, kind: str) -> Any:
        """Where the stamps of a kind lie in a file; None where it has no such column."""
        pages = self._catalog.alerts.pages(file, kind)
        return None if pages is None else _Place(file.id, kind, pages)

    def values(
        self, lake: Lake, path: str, size: int, version: str, pages: _Place, rows: Sequence[int]
    ) -> list[bytes | None]:
        """Values of a column in some rows, which are sorted, as they are stored."""
        held = self._values.get((pages.file_id, pages.kind), {})
        try:
            return [held[row] for row in rows]
        except KeyError:
            return self._catalog.alerts.lakes.values(lake, path, size, version, pages.pages, rows)

    def _read(self, plans: Iterable[CutoutPlan]) -> None:
        wanted: dict[tuple[int, str], set[int]] = {}
        files: dict[int, LakeFile] = {}
        for plan in plans:
            for stamp in plan.stamps:
                record = self._records[stamp.alert_id]
                files[record.file.id] = record.file
                for kind in stamp.kinds:
                    wanted.setdefault((record.file.id, kind), set()).add(record.row)
        for (file_id, kind), rows in wanted.items():
            file = files[file_id]
            lake, pages = self.survey(file.survey).lake, self._catalog.alerts.pages(file, kind)
            if lake is None or pages is None:
                continue
            order = sorted(rows)
            with suppress(BrokenImage, StaleImage):
                values = self._catalog.alerts.lakes.values(
                    lake, file.path, file.size, file.version, pages, order
                )
                self._values[file_id, kind] = dict(zip(order, values, strict=True))
