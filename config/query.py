"""The SIA2 query: its parts put together, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable

from config.settings import SiaSettings, SyncSettings
from dali.caller import Caller
from dali.votable import MEDIA_TYPE
from sia.access import SyncLimits
from sia.descriptor import STANDARD_ID
from sia.obscore import FIELDS
from sia.params import PARAMETERS, SiaParameter
from sia.service import QueryService, RowLimits
from soda.descriptor import Descriptors
from surveys.access import Reader
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.index.obsindex import ObsIndex
from vosi.capabilities import Capability, Interface, Param
from vosi.tables import Table

#: The rows of a query, for ``/tables``.
QUERY_TABLE = Table("sia.query", "Images, survey bands and alerts, the rows of /query (ObsCore 1.1)", FIELDS)

_DATATYPES = {"double": "real", "int": "integer"}


def make_query(
    settings: SiaSettings,
    sync: SyncSettings,
    catalog: Catalog,
    identifiers: Identifiers,
    descriptors: Descriptors,
    reader_of: Callable[[Caller], Reader],
) -> QueryService:
    """Make the service of queries."""
    return QueryService(
        catalog.surveys,
        ObsIndex(catalog),
        identifiers,
        RowLimits(settings.default_rows, settings.max_rows),
        SyncLimits(sync.max_pixels, sync.max_bytes),
        descriptors.of_column,
        reader_of,
    )


def query_capability() -> Capability:
    """SIA2 query, with its parameters."""
    interface = Interface(
        "query",
        use="base",
        version="2.0",
        query_types=("GET", "POST"),
        result_type=MEDIA_TYPE,
        params=tuple(map(_param, PARAMETERS)),
    )
    return Capability(STANDARD_ID, (interface,))


def _param(parameter: SiaParameter) -> Param:
    return Param(
        parameter.name,
        parameter.description,
        parameter.ucd,
        parameter.unit,
        datatype=_DATATYPES.get(parameter.datatype, "string"),
        arraysize=parameter.arraysize or "",
    )
