"""Reading the index of alerts: who and where an alert is, which ones an object has, and those of a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Engine, select

from surveys.alert import AlertRecord, LakeFile
from surveys.errors import StaleImage, SurveyError, TooLarge, UnknownAlert
from surveys.index.alerts.holdings import LakeHoldings, count_held
from surveys.index.alerts.queries import (
    BY_CANDID,
    BY_ID,
    BY_ID_IN_TIME,
    BY_OBJECT,
    BY_OBJECT_IN_FILE,
    COVERS,
    HELD,
    LAST_FILE,
    PAGES,
    Reads,
)
from surveys.index.alerts.records import Epochs, Records, in_order, of_one_object
from surveys.index.alerts.units import digest_of
from surveys.index.tables import SurveyRow
from surveys.lru import Lru
from surveys.request import Interval
from surveys.survey import Survey

if TYPE_CHECKING:
    from surveys.index.obscore import ObsConstraints
    from surveys.parquet.pages import ColumnPages
    from surveys.parquet.source import LakeSource

#: More alerts of one object than these are not looked at.
MOST_EPOCHS = 20_000

_ALERTS_KEPT = 20_000
_OBJECTS_KEPT = 4_000
#: Bytes.
_PAGES_KEPT = 64 << 20
#: An object of more alerts than this is not kept.
_FEW = 200
#: Keys of one query.
_AT_ONCE = 2_000
_BIGGEST = 2**63 - 1
#: A larger file (bytes) is not indexed while somebody waits.
_LARGE = 2**28


class SurveyIndex(Protocol):
    """What is asked of `surveys.index.catalog.Catalog`."""

    def survey(self, name: str) -> Survey:
        """Survey of this name."""

    def generation(self, survey: str) -> int:
        """Which generation of its index counts now."""

    def key_of(self, survey: str) -> int:
        """Key of it in the index."""

    def refresh(self) -> None:
        """Forget which generations count."""


class AlertCatalog:
    """The index of the alerts of some surveys. One for all threads.

    Parameters
    ----------
    index
        The surveys, which generation of them counts, and their keys in the index.
    reading
        Engine on which every query is a transaction of its own.
    writing
        Engine by which a file is indexed anew.
    is_mapped
        Whether files of lakes are mapped.
    """

    def __init__(
        self, index: SurveyIndex, reading: Engine, writing: Engine, *, is_mapped: bool = False
    ) -> None:
        self._is_mapped = is_mapped
        self.reads = Reads(reading)
        self._records = Records()
        self._index = index
        self._reading = reading
        self._writing = writing
        self._by_candid: Lru[tuple[str, int, int], AlertRecord] = Lru(_ALERTS_KEPT)
        self._by_id: Lru[int, AlertRecord] = Lru(_ALERTS_KEPT)
        self._by_object: Lru[tuple[str, int, str], Epochs] = Lru(_OBJECTS_KEPT)
        self._holdings: Lru[tuple[str, int], LakeHoldings] = Lru(64)
        self._pages: Lru[tuple[int, str], tuple[ColumnPages | None]] = Lru(_PAGES_KEPT, _bytes_of)

    @cached_property
    def lakes(self) -> LakeSource:
        """Where the bytes of stamps come from."""
        # Parquet is read for alerts alone, and its library is large.
        from surveys.parquet.source import LakeSource

        return LakeSource(is_mapped=self._is_mapped)

    def alert(self, survey: Survey, candid: int) -> AlertRecord:
        """Alert of this number.

        Raises
        ------
        UnknownDataset
            If there is none.
        """
        key = (survey.name, self._index.generation(survey.name), candid)

        def read() -> AlertRecord:
            found = self.with_candids(survey, [candid], key[1])
            if not found:
                raise UnknownAlert(f"there is no alert {candid} in {survey.name}")
            self._keep(found.values())
            return found[candid]

        return self._by_candid.get(key, read)

    def epochs(
        self,
        survey: Survey,
        object_id: str,
        time_mjd: Interval | None = None,
        bands: Sequence[str] = (),
        at_most: int = MOST_EPOCHS,
    ) -> Epochs:
        """Alerts of an object, by time; of those labels of bands if any are given.

        Raises
        ------
        UnknownDataset
            If there is no such object, or several (see `of_one_object`).
        TooLarge
            If more than `at_most` are asked for.
        """
        found = of_one_object(self._object(survey, object_id), object_id)
        if time_mjd is not None or bands:
            found = tuple(
                alert
                for alert in found
                if (time_mjd is None or time_mjd.overlaps(alert.mjd, alert.mjd))
                and (not bands or alert.band in bands)
            )
        if len(found) > at_most:
            raise TooLarge(
                f"{len(found)} alerts of the object; {at_most} can be had at once: pick some by TIME, FILTER"
            )
        return found

    def records(self, ids: Sequence[int]) -> dict[int, AlertRecord]:
        """Alerts by their keys in the index, of any generation that is kept.

        Raises
        ------
        StaleImage
            If one is no longer there.
        """
        found: dict[int, AlertRecord] = {}
        missing: list[int] = []
        for key in ids:
            if (alert := self._by_id.held(key)) is None:
                missing.append(key)
            else:
                found[key] = alert
        for start in range(0, len(missing), _AT_ONCE):
            found |= self._with_ids(missing[start : start + _AT_ONCE])
        if len(missing) <= _FEW:
            self._keep(found[key] for key in missing)
        return found

    def by_candid(self, survey: Survey, candids: Sequence[int]) -> dict[int, AlertRecord]:
        """Alerts of these numbers, as far as there are any."""
        generation = self._index.generation(survey.name)
        found: dict[int, AlertRecord] = {}
        for start in range(0, len(candids), _AT_ONCE):
            found |= self.with_candids(survey, candids[start : start + _AT_ONCE], generation)
        return found

    def by_object(self, survey: Survey, object_ids: Sequence[str]) -> dict[str, Epochs]:
        """Alerts of objects, by time, as far as there are any; by names in lower case (see `of_one_object`).

        Raises
        ------
        TooLarge
            If there are too many.
        """
        generation = self._index.generation(survey.name)
        names = list(dict.fromkeys(name.lower() for name in object_ids))
        found: dict[str, Epochs] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            found |= self.of_objects(survey, some, generation, MOST_EPOCHS * 10)
        return found

    def in_file(self, survey: Survey, path: str, object_id: str | None, candid: int | None) -> Epochs:
        """Alerts of one file, by time: of an object, of a number, or of both; none for neither."""
        known = self._known(survey)
        if candid is not None:
            candids = [candid] if _is_64_bits(candid) else []
            rows = self.reads.rows(BY_CANDID, keys=candids, most=MOST_EPOCHS, **known)
        elif object_id is not None:
            digests = [digest_of(object_id)]
            rows = self.reads.rows(BY_OBJECT_IN_FILE, keys=digests, most=MOST_EPOCHS, path=path, **known)
        else:
            return ()
        named = object_id.lower() if object_id is not None else None
        found = in_order(
            alert
            for alert in map(self._records.of, rows)
            if alert.file.path == path and named in (None, alert.object_id.lower())
        )
        return found if object_id is None else of_one_object(found, object_id)

    def pages(self, file: LakeFile, kind: str) -> ColumnPages | None:
        """Where the stamps of a kind lie in a file; None if it has none of this kind."""

        def read() -> tuple[ColumnPages | None]:
            from surveys.parquet.pages import ColumnPages

            found = self.reads.rows(PAGES, file_id=file.id, kind=kind.lower())
            return (ColumnPages.unpack(bytes(found[0][0])) if found else None,)

        return self._pages.get((file.id, kind.lower()), read)[0]

    def search(self, survey: Survey, wanted: ObsConstraints) -> Iterator[AlertRecord]:
        """Alerts of a survey that satisfy constraints, a page at a time; no transaction between pages."""
        from surveys.index.alerts.search import search

        return search(self, survey, wanted, self._known(survey))

    def holdings(self, survey: Survey) -> LakeHoldings:
        """Count what the index has of a survey."""
        key = (survey.name, self._index.generation(survey.name))
        return self._holdings.get(key, lambda: self._count(survey))

    def covers(self, survey: Survey) -> Iterator[bytes]:
        """Where the alerts lie, of each file (see `surveys.index.alerts.cover`)."""
        return (bytes(cover) for (cover,) in self.reads.rows(COVERS, **self._known(survey)) if cover)

    def sample(self, survey: Survey) -> AlertRecord | None:
        """Return some alert of a survey, of an object if one is near; None where there is none."""
        for first, rows in self.reads.rows(LAST_FILE, **self._known(survey)):
            found = self._some(survey, first, first + rows)
            return next((alert for alert in found if alert.object_id), next(iter(found), None))
        return None

    def random(self, survey: Survey, count: int, rng: Random) -> list[AlertRecord]:
        """Return some alerts of a survey, any of which may be there twice; none where there is none."""
        files = [(first, rows) for *_, time, first, rows in self._held(survey) if time is not None]
        found: list[AlertRecord] = []
        for first, rows in rng.choices(files, [rows for _, rows in files], k=count) if files else []:
            end = first + rows
            # What follows was refused, perhaps.
            some = self._some(survey, first + rng.randrange(rows), end) or self._some(survey, first, end)
            found += some[:1]
        return found

    def refresh(self) -> None:
        """Forget which generations count, since one of them has shown to be old."""
        self._index.refresh()

    def reindex(self, dataset: str) -> bool:
        """Read the file of an alert anew, which is not the one that was indexed.

        Parameters
        ----------
        dataset
            ``survey/alert/candid``.

        Returns
        -------
        bool
            False where nothing was done: it is no alert, others index the survey, the file is a large one, or
            the alert gone.
        """
        from surveys.parquet.arrow import pyarrow

        try:
            pyarrow()
            from surveys.index.alerts.ingest import reindex_file

            name, _, candid = dataset.split("/")[:3]
            survey = self._index.survey(name)
            if survey.lake is None:  # images are indexed by whoever runs the service
                return False
            file = self.alert(survey, int(candid)).file
            if file.size > _LARGE:
                return False
            reindex_file(self._writing, survey, file.path)
        except SurveyError:
            return False
        self.refresh()
        return True

    def _known(self, survey: Survey) -> dict[str, int]:
        """Parameters that say what of the index counts."""
        generation = self._index.generation(survey.name)
        return {"survey_id": self._index.key_of(survey.name), "generation": generation}

    def _count(self, survey: Survey) -> LakeHoldings:
        with self._reading.connect() as connection:
            query = select(SurveyRow.last_modified).where(SurveyRow.name == survey.name)
            modified = connection.execute(query).scalar()
        return count_held(survey, self._held(survey), modified)

    def _held(self, survey: Survey) -> Sequence[Sequence[Any]]:
        return self.reads.rows(HELD, **self._known(survey))

    def _some(self, survey: Survey, first: int, end: int) -> Sequence[AlertRecord]:
        """First of the alerts of a range of keys."""
        values = {**self._known(survey), "first_mjd": 0, "last_mjd": _BIGGEST}
        pages = (
            self.counting(range(start, min(start + 100, end)), values) for start in range(first, end, 100)
        )
        return next(filter(None, pages), ())

    def _object(self, survey: Survey, object_id: str) -> Epochs:
        generation, name = self._index.generation(survey.name), object_id.lower()

        def read() -> Epochs:
            found = self.of_objects(survey, [name], generation, MOST_EPOCHS)
            if name not in found:
                raise UnknownAlert(f"there is no object {object_id!r} in {survey.name}")
            if len(found[name]) <= _FEW:
                self._keep(found[name])
            return found[name]

        return self._by_object.get(
            (survey.name, generation, name), read, worth=lambda found: len(found) <= _FEW
        )

    def _keep(self, alerts: Iterable[AlertRecord]) -> None:
        """Keep alerts that will be asked for by their keys: who plans a product makes it next."""
        for alert in alerts:
            self._by_id.put(alert.id, alert)

    def counting(self, ids: Sequence[int], values: Mapping[str, int]) -> Sequence[AlertRecord]:
        """Alerts of these keys, which are not too many, that count.

        Parameters
        ----------
        values
            ``survey_id`` and ``generation``, ``first_mjd`` and ``last_mjd`` in units of the index.
        """
        rows = self.reads.rows(BY_ID_IN_TIME, keys=list(ids), **values)
        return sorted(map(self._records.of, rows), key=lambda alert: alert.id)

    def with_candids(self, survey: Survey, candids: Sequence[int], generation: int) -> dict[int, AlertRecord]:
        """Alerts of a generation by their numbers, which are not too many."""
        rows = self.reads.rows(
            BY_CANDID,
            keys=[candid for candid in candids if _is_64_bits(candid)],
            most=_BIGGEST,
            survey_id=self._index.key_of(survey.name),
            generation=generation,
        )
        # Of twins the last one counts.
        return {row[1]: self._records.of(row) for row in sorted(rows, key=lambda row: row[0])}

    def _with_ids(self, ids: Sequence[int]) -> dict[int, AlertRecord]:
        found = {row[0]: self._records.of(row) for row in self.reads.rows(BY_ID, keys=list(ids))}
        if len(found) < len(set(ids)):
            raise StaleImage("the alert is no longer in the index")
        return found

    def of_objects(
        self, survey: Survey, names: Sequence[str], generation: int, most: int
    ) -> dict[str, Epochs]:
        """Alerts of a generation by their objects, which are named in lower case and not too many."""
        rows = self.reads.rows(
            BY_OBJECT,
            keys=sorted({digest_of(name) for name in names}),
            most=most + 1,
            survey_id=self._index.key_of(survey.name),
            generation=generation,
        )
        if len(rows) > most:
            raise TooLarge(f"more than {most} alerts: ask for fewer objects, or for single alerts")
        found: dict[str, list[AlertRecord]] = {name: [] for name in names}
        for row in rows:
            alert = self._records.of(row)
            # Others have the same digest.
            if (named := alert.object_id.lower()) in found:
                found[named].append(alert)
        return {name: in_order(alerts) for name, alerts in found.items() if alerts}


def _bytes_of(found: tuple[ColumnPages | None]) -> int:
    """How much pages take in memory, about."""
    pages = found[0]
    return 500 if pages is None else 500 + 32 * len(pages.offsets) + 24 * len(pages.codecs)


def _is_64_bits(number: int) -> bool:
    return -(2**63) <= number < 2**63
