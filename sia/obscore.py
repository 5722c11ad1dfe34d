"""The columns of ObsCore 1.1 (section 4), and the rows of images, survey bands and alerts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dali.votable import Coosys, Datatype, Field, Row, Timesys
from surveys.alert import AlertRecord
from surveys.index.obscore import BAND_CALIB_LEVEL, ObsBand, ObsImage
from surveys.sky.footprint import stc_circle
from surveys.sky.stencil import Circle
from surveys.survey import Band, Survey

#: XML ID of the column of publisher DIDs, to which service descriptors refer.
ID_FIELD = "obs_publisher_did"

SKY = Coosys("icrs")
TIME = Timesys("mjd_utc")

_AXIS = "Char.SpatialAxis"
_PLACE = f"{_AXIS}.Coverage.Location.Coord.Position2D.Value2"


def _field(
    name: str,
    utype: str,
    ucd: str,
    description: str,
    datatype: Datatype = "char",
    unit: str = "",
    ref: str = "",
    xtype: str = "",
) -> Field:
    return Field(
        name=name,
        datatype=datatype,
        unit=unit,
        ucd=ucd,
        utype=f"obscore:{utype}",
        xtype=xtype,
        id=ID_FIELD if name == ID_FIELD else "",
        ref=ref,
        description=description,
    )


#: The mandatory ones in the order of ObsCore, then optional ones by its names (section 4.22).
FIELDS = (
    _field("dataproduct_type", "ObsDataset.dataProductType", "meta.code.class", "image or cube"),
    _field("calib_level", "ObsDataset.calibLevel", "meta.code;obs.calib", "Calibration level, 0 to 4", "int"),
    _field("obs_collection", "DataID.collection", "meta.id", "Data collection"),
    _field("obs_id", "DataID.observationID", "meta.id", "Identifier of the observation"),
    _field(ID_FIELD, "Curation.publisherDID", "meta.ref.ivoid", "Publisher's identifier of the dataset"),
    _field("access_url", "Access.reference", "meta.ref.url", "Where to get it"),
    _field("access_format", "Access.format", "meta.code.mime", "Media type of what access_url gives"),
    _field("access_estsize", "Access.size", "phys.size;meta.file", "Estimated size", "long", "kbyte"),
    _field("target_name", "Target.name", "meta.id;src", "Name of the target"),
    _field("s_ra", f"{_PLACE}.C1", "pos.eq.ra", "Right ascension of the centre", "double", "deg", SKY.id),
    _field("s_dec", f"{_PLACE}.C2", "pos.eq.dec", "Declination of the centre", "double", "deg", SKY.id),
    _field(
        "s_fov",
        f"{_AXIS}.Coverage.Bounds.Extent.diameter",
        "phys.angSize;instr.fov",
        "Diameter",
        "double",
        "deg",
    ),
    _field(
        "s_region",
        f"{_AXIS}.Coverage.Support.Area",
        "pos.outline;obs.field",
        "Outline, STC-S",
        ref=SKY.id,
        xtype="adql:REGION",
    ),
    _field(
        "s_resolution",
        f"{_AXIS}.Resolution.Refval.value",
        "pos.angResolution",
        "Spatial resolution",
        "double",
        "arcsec",
    ),
    _field("s_xel1", f"{_AXIS}.numBins1", "meta.number", "Pixels along the first axis", "long"),
    _field("s_xel2", f"{_AXIS}.numBins2", "meta.number", "Pixels along the second axis", "long"),
    _field(
        "t_min",
        "Char.TimeAxis.Coverage.Bounds.Limits.StartTime",
        "time.start;obs.exposure",
        "Start",
        "double",
        "d",
        TIME.id,
    ),
    _field(
        "t_max",
        "Char.TimeAxis.Coverage.Bounds.Limits.StopTime",
        "time.end;obs.exposure",
        "End",
        "double",
        "d",
        TIME.id,
    ),
    _field(
        "t_exptime",
        "Char.TimeAxis.Coverage.Support.Extent",
        "time.duration;obs.exposure",
        "Exposure time",
        "double",
        "s",
    ),
    _field(
        "t_resolution",
        "Char.TimeAxis.Resolution.Refval.value",
        "time.resolution",
        "Time resolution",
        "double",
        "s",
    ),
    _field("t_xel", "Char.TimeAxis.numBins", "meta.number", "Pixels along the time axis", "long"),
    _field(
        "em_min",
        "Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit",
        "em.wl;stat.min",
        "Shortest wavelength, in vacuum",
        "double",
        "m",
    ),
    _field(
        "em_max",
        "Char.SpectralAxis.Coverage.Bounds.Limits.HiLimit",
        "em.wl;stat.max",
        "Longest wavelength, in vacuum",
        "double",
        "m",
    ),
    _field(
        "em_res_power",
        "Char.SpectralAxis.Resolution.ResolPower.refVal",
        "spect.resolution",
        "Spectral resolving power",
        "double",
    ),
    _field("em_xel", "Char.SpectralAxis.numBins", "meta.number", "Pixels along the spectral axis", "long"),
    _field("o_ucd", "Char.ObservableAxis.ucd", "meta.ucd", "UCD of the pixels"),
    _field(
        "pol_states",
        "Char.PolarizationAxis.stateList",
        "meta.code;phys.polarization",
        "Polarization states, /I/Q/U/V/",
    ),
    _field(
        "pol_xel", "Char.PolarizationAxis.numBins", "meta.number", "Number of polarization states", "long"
    ),
    _field("facility_name", "Provenance.ObsConfig.Facility.name", "meta.id;instr.tel", "Telescope"),
    _field("instrument_name", "Provenance.ObsConfig.Instrument.name", "meta.id;instr", "Instrument"),
    _field(
        "dataproduct_subtype",
        "ObsDataset.dataProductSubtype",
        "meta.code.class",
        "survey: any region of it can be cut; alert: stamps of one",
    ),
    _field("obs_title", "DataID.title", "meta.title;obs", "Title"),
    _field(
        "obs_release_date",
        "Curation.releaseDate",
        "time.release",
        "When it became public",
        xtype="timestamp",
    ),
    _field("data_rights", "Curation.rights", "meta.code", "public or proprietary"),
    _field("bib_reference", "Curation.reference", "meta.bib.bibcode", "Bibcode"),
    _field(
        "s_pixel_scale",
        f"{_AXIS}.Sampling.RefVal.SamplingPeriod",
        "phys.angSize;instr.pixel",
        "Size of a pixel",
        "double",
        "arcsec",
    ),
)

_UCDS = {"flux": "phot.flux.density", "surface-brightness": "phot.flux.density.sb"}
# FITS 4.0, table 25, without the algorithm; older headers say WAVELENGTH, LAMBDA and the like.
_SPECTRAL = ("FREQ", "ENER", "WAVN", "VRAD", "WAVE", "VOPT", "ZOPT", "AWAV", "VELO", "BETA", "LAMB")
_CTYPE = re.compile(r"CTYPE([1-9])\s*=\s*'([^']*)'")
_BYTES_A_KB = 1000


@dataclass(frozen=True, slots=True)
class Access:
    """How a dataset can be had; `size_kb` is None where that depends."""

    url: str
    media_type: str
    size_kb: int | None = None


def band_row(found: ObsBand, did: str, access: Access) -> Row:
    """Row of a survey band: no time, and no size but that of what is cut."""
    survey, band, hull = found.survey, found.band, found.hull
    scale = survey.pixel_scale_arcsec
    return (
        *("image", BAND_CALIB_LEVEL, survey.obs_collection, found.dataset, did),
        *(access.url, access.media_type, access.size_kb, None),
        *(hull.s_ra_deg, hull.s_dec_deg, hull.s_fov_deg, hull.s_region, None, None, None),
        *(None, None, None, None, None),
        *(band.em_min_m, band.em_max_m, None, 1, _o_ucd(band)),
        *(_states(survey.pol_states), len(survey.pol_states)),
        *_provenance(survey),
        *("survey", f"{survey.title}, band {band.label}", None, *_curation(survey, found.dataset), scale),
    )


def image_row(image: ObsImage, did: str, access: Access) -> Row:
    """Row of an image."""
    survey = image.survey
    released = survey.access.rule_of(image.dataset).until or image.obs_release_date
    t_xel, em_xel = _bins(image)
    scale = None if image.s_pixel_scale_deg is None else image.s_pixel_scale_deg * 3600.0
    name = image.dataset.rpartition("/")[2]
    return (
        *(image.product_type, image.calib_level, survey.obs_collection, image.dataset, did),
        *(access.url, access.media_type, access.size_kb, None),
        *(image.s_ra_deg, image.s_dec_deg, image.s_fov_deg, image.s_region, None, image.s_xel1, image.s_xel2),
        *(image.t_min_mjd, image.t_max_mjd, image.t_exptime_s, None, t_xel),
        *(image.em_min_m, image.em_max_m, None, em_xel, _o_ucd(survey.band(image.band))),
        *(_states(image.pol_states), len(image.pol_states)),
        *_provenance(survey),
        None,
        f"{survey.title}, band {image.band}, {name}",
        None if released is None else released.strftime("%Y-%m-%dT%H:%M:%S"),
        *_curation(survey, image.dataset),
        scale,
    )


def alert_row(survey: Survey, alert: AlertRecord, did: str, access: Access) -> Row:
    """Row of an alert: what is told without a look at its stamps."""
    radius_deg = 0.0 if survey.lake is None else survey.lake.stamp_radius_deg
    circle = Circle(alert.ra_deg, alert.dec_deg, radius_deg)
    band = survey.band(alert.band) if alert.band else None
    released = survey.access.rule_of(alert.dataset).until
    return (
        *("image", survey.calib_level, survey.obs_collection, str(alert.candid), did),
        *(access.url, access.media_type, access.size_kb, alert.object_id or None),
        *(alert.ra_deg, alert.dec_deg, 2.0 * radius_deg, stc_circle(circle), None, None, None),
        *(alert.mjd, alert.mjd, None, None, 1),
        *(None if band is None else band.em_min_m, None if band is None else band.em_max_m),
        *(None, 1, None, None, None),
        *_provenance(survey),
        "alert",
        " ".join(
            (f"{survey.title}, {alert.object_id or alert.candid}", *([f"in {band.label}"] if band else []))
        ),
        None if released is None else released.strftime("%Y-%m-%dT%H:%M:%S"),
        *_curation(survey, alert.dataset),
        survey.pixel_scale_arcsec,
    )


def size_kb(image: ObsImage) -> int:
    """Size of its pixels."""
    return math.ceil(math.prod(image.shape) * abs(image.bitpix) / 8 / _BYTES_A_KB)


def _provenance(survey: Survey) -> tuple[str | None, str | None]:
    return survey.facility_name or None, survey.instrument_name or None


def _curation(survey: Survey, dataset: str) -> tuple[str, str | None]:
    return "public" if survey.access.is_open_to_all(
        dataset
    ) else "proprietary", survey.publisher.bibcode or None


def _o_ucd(band: Band) -> str | None:
    return None if band.pixel_value is None else _UCDS[band.pixel_value]


def _states(states: tuple[str, ...]) -> str | None:
    return f"/{'/'.join(states)}/" if states else None


def _bins(image: ObsImage) -> tuple[int, int]:
    """Pixels along the axes of time and wavelength; 1 where there is no such axis."""
    t_xel = em_xel = 1
    for axis, ctype in _CTYPE.findall(image.wcs_text):
        length = image.shape[-int(axis)] if int(axis) <= len(image.shape) else 1
        if ctype.upper().startswith(_SPECTRAL):
            em_xel = length
        elif ctype.upper().startswith("TIME"):
            t_xel = length
    return t_xel, em_xel
