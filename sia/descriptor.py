"""Service descriptors of a response: the links of its rows, and the resource itself (section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dali.votable import Param, Scalar, ServiceDescriptor, Values, text_param
from sia.access import FITS_TYPES, LINKS_TYPE
from sia.obscore import ID_FIELD
from sia.params import FORMS, PARAMETERS, SiaParameter
from surveys.index.obscore import BAND_CALIB_LEVEL
from surveys.survey import Survey

STANDARD_ID = "ivo://ivoa.net/std/SIA#query-2.0"
LINKS_STANDARD_ID = "ivo://ivoa.net/std/DataLink#links-1.1"


def links_descriptor(base_url: str) -> ServiceDescriptor:
    """Describe the links of every row (section 3.1.1)."""
    return ServiceDescriptor(
        id="datalink",
        name="links",
        description="Links of a dataset",
        params=(
            text_param("standardID", LINKS_STANDARD_ID),
            text_param("accessURL", f"{base_url}/links", ucd="meta.ref.url"),
            text_param("contentType", LINKS_TYPE),
        ),
        inputs=(Param(name="ID", ucd="meta.id;meta.main", ref=ID_FIELD),),
    )


def self_descriptor(surveys: Sequence[Survey], max_rows: int, base_url: str) -> ServiceDescriptor:
    """Describe the query itself, with the values that some dataset of `surveys` has."""
    values = _values(surveys, max_rows)
    return ServiceDescriptor(
        name="query",
        description="Images, survey bands and alerts, found by position, wavelength, time and more",
        utype="adhoc:this",
        params=(
            text_param("standardID", STANDARD_ID),
            text_param("accessURL", f"{base_url}/query", ucd="meta.ref.url"),
        ),
        inputs=tuple(_input(parameter, values.get(parameter.name)) for parameter in PARAMETERS),
    )


def _values(surveys: Sequence[Survey], max_rows: int) -> Mapping[str, Values]:
    levels = {survey.calib_level for survey in surveys}
    levels |= {BAND_CALIB_LEVEL for survey in surveys if survey.kind == "coadd"}
    options: dict[str, Iterable[Scalar]] = {
        "POL": (state for survey in surveys for state in survey.pol_states),
        "COLLECTION": (survey.obs_collection for survey in surveys),
        "FACILITY": (survey.facility_name for survey in surveys),
        "INSTRUMENT": (survey.instrument_name for survey in surveys),
        "DPTYPE": ("image", "cube"),
        "CALIB": sorted(levels),
        "FORMAT": (LINKS_TYPE, *FITS_TYPES),
        "RESPONSEFORMAT": FORMS,
    }
    found = {name: tuple(dict.fromkeys(one for one in some if one != "")) for name, some in options.items()}
    return {name: Values(options=some) for name, some in found.items() if some} | {
        "MAXREC": Values(0, max_rows)
    }


def _input(parameter: SiaParameter, values: Values | None) -> Param:
    return Param(
        name=parameter.name,
        datatype=parameter.datatype,
        arraysize=parameter.arraysize,
        unit=parameter.unit,
        ucd=parameter.ucd,
        xtype=parameter.xtype,
        description=parameter.description,
        values=values,
    )
