"""SIA 2.0: a query in, rows of ObsCore out. Knows no request and no response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from dali.caller import Caller
from dali.parameters import Parameters
from dali.tables import csv_chunks, json_chunks
from dali.votable import OK, FirstRows, Info, Row, ServiceDescriptor, votable_chunks
from sia.access import Position, SyncLimits, Ways
from sia.descriptor import links_descriptor, self_descriptor
from sia.obscore import FIELDS, ID_FIELD, SKY, TIME, alert_row, band_row, image_row
from sia.params import SiaQuery, parse_query
from surveys.access import Reader
from surveys.identifiers import Identifiers
from surveys.index.obsindex import ObsIndex
from surveys.survey import Survey

#: Of the whole standard, as section 3.1 has it; capabilities and descriptors name the resource in it.
STANDARD = Info("standardID", "ivo://ivoa.net/std/SIA")

#: Gives the descriptors of services that take the identifiers in a column: its XML ID, the base URL.
Cutouts = Callable[[str, str], Sequence[ServiceDescriptor]]
#: Makes the last INFO of a document that cannot be finished.
Failure = Callable[[Exception], Info]


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Rows of a response: so many where nothing else is said, and so many at most."""

    default: int
    most: int

    def of(self, max_records: int | None) -> int:
        """Rows for a MAXREC."""
        return self.default if max_records is None else min(max_records, self.most)


class QueryService:
    """Answers SIA queries.

    Parameters
    ----------
    surveys, index
        What is declared, and what the image index has of it.
    identifiers
        Publisher DIDs of this service.
    rows
        How many rows are given.
    sync
        Limits of SODA sync, which `access_url` leads to.
    cutouts
        Describes the services that cut.
    reader_of
        Tells what a caller may read; what that is not is left out.
    """

    def __init__(
        self,
        surveys: Sequence[Survey],
        index: ObsIndex,
        identifiers: Identifiers,
        rows: RowLimits,
        sync: SyncLimits,
        cutouts: Cutouts,
        reader_of: Callable[[Caller], Reader],
    ) -> None:
        self._surveys = tuple(surveys)
        self._index = index
        self._identifiers = identifiers
        self._limits = rows
        self._sync = sync
        self._cutouts = cutouts
        self._reader_of = reader_of

    def ask(self, parameters: Parameters) -> SiaQuery:
        """Read a query.

        Raises
        ------
        UsageError
            If it is wrong.
        """
        return parse_query(parameters, self._identifiers)

    def answer(self, query: SiaQuery, caller: Caller, base_url: str, failure: Failure) -> Iterator[bytes]:
        """Document with the rows of a query that a caller may read, piece by piece.

        The first row is looked up here: a database that does not answer is an error of the request, and only
        one that fails later is said at the end of the document, by `failure`.
        """
        limit = self._limits.of(query.max_records)
        reader = self._reader_of(caller)
        found = self.rows(query, reader, base_url) if limit else iter(())
        first = list(islice(found, 1))
        rows = FirstRows(chain(first, found), limit)
        match query.form:
            case "csv":
                return csv_chunks(FIELDS, rows)
            case "json":
                return json_chunks(FIELDS, rows, rows.ending)
            case "votable":
                return self._votable(rows, reader, base_url, failure)

    def rows(self, query: SiaQuery, reader: Reader, base_url: str) -> Iterator[Row]:
        """Every row of a query that somebody may read: survey bands, then images, then alerts."""
        if query.finds_nothing:
            return
        surveys = [survey for survey in self._readable(reader) if _is_asked(survey, query)]
        ways = Ways(base_url, self._identifiers, self._sync, _position(query), query.formats)
        did = self._identifiers.did
        for survey in surveys:
            for band in self._index.bands(survey, query.constraints):
                if not survey.access.may_read(band.dataset, reader):
                    continue
                if (access := ways.to_band(band)) is not None:
                    yield band_row(band, did(band.dataset), access)
        for survey in surveys:
            for image in self._index.images(survey, query.constraints):
                if not survey.access.may_read(image.dataset, reader):
                    continue
                if (access := ways.to_image(image)) is not None:
                    yield image_row(image, did(image.dataset), access)
        for survey in surveys:
            for alert in self._index.alerts(survey, query.constraints):
                if not survey.access.may_read(alert.dataset, reader):
                    continue
                if (access := ways.to_alert(alert)) is not None:
                    yield alert_row(survey, alert, did(alert.dataset), access)

    def _votable(self, rows: FirstRows, reader: Reader, base_url: str, failure: Failure) -> Iterator[bytes]:
        return votable_chunks(
            FIELDS,
            rows,
            infos=(OK, STANDARD),
            systems=(SKY, TIME),
            descriptors=(
                links_descriptor(base_url),
                *self._cutouts(ID_FIELD, base_url),
                self_descriptor(self._readable(reader), self._limits.most, base_url),
            ),
            ending=rows.ending,
            failure=failure,
        )

    def _readable(self, reader: Reader) -> list[Survey]:
        return [
            survey
            for survey in self._surveys
            if survey.access.may_enter(reader) and self._index.holds(survey)
        ]


def _is_asked(survey: Survey, query: SiaQuery) -> bool:
    return (
        (not query.collections or survey.obs_collection in query.collections)
        and (not query.facilities or survey.facility_name in query.facilities)
        and (not query.instruments or survey.instrument_name in query.instruments)
    )


def _position(query: SiaQuery) -> Position | None:
    match query.positions, query.constraints.shapes:
        case (text,), (shape,):
            return Position(text.strip(" "), shape)
        case _:
            return None
