"""What is told of a dataset before anything is cut from it: where it lies, and which filters give data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, bindparam, select

from surveys.alert import AlertRecord
from surveys.errors import ImageRefused
from surveys.identifiers import is_layer
from surveys.image import ImageRecord
from surveys.index.queries import valid_in
from surveys.index.tables import DatasetRow
from surveys.request import CutoutRequest, Interval
from surveys.sky.stencil import Circle, Polygon
from surveys.sky.wcs import wcs_of
from surveys.survey import Survey

#: Radius of an example, in pixels, and at most this part of the image's diameter.
EXAMPLE_PX = 20.0
EXAMPLE_PART = 1 / 8

_PLACE = (
    DatasetRow.key,
    DatasetRow.band,
    DatasetRow.s_ra,
    DatasetRow.s_dec,
    DatasetRow.s_fov,
    DatasetRow.s_region,
    DatasetRow.s_pixel_scale_deg,
)
PLACE_BY_KEY: Select[*tuple[Any, ...]] = select(*_PLACE).where(
    DatasetRow.survey_id == bindparam("survey_id"),
    DatasetRow.key_lower == bindparam("key"),
    *valid_in(DatasetRow, bindparam("generation")),
)
#: Any image of a band.
PLACE_IN_BAND: Select[*tuple[Any, ...]] = (
    select(*_PLACE)
    .where(
        DatasetRow.survey_id == bindparam("survey_id"),
        DatasetRow.band == bindparam("band"),
        *valid_in(DatasetRow, bindparam("generation")),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """A dataset that exists, and the values of each filter that select something of it.

    Parameters
    ----------
    dataset
        What follows ``?`` in its publisher DID, spelled as the index has it.
    survey
        The survey it is, or belongs to.
    image
        The image, None for a survey or a survey band.
    circle, polygon
        What covers an image: a circle about its centre, and its footprint, counter-clockwise as seen from
        inside the sphere. None for surveys and bands, which may be anywhere, and `polygon` where an image
        has no such outline.
    band_m
        Vacuum wavelengths, metres; of a survey, from the shortest to the longest.
    time_mjd
        Of an image, None where unknown or for anything else.
    pol_states
        Empty where unknown.
    filters
        Labels of the bands that have images.
    sample
        Dataset of the image, or of any image.
    example
        A small circle in the middle of an image; None for exposures taken together, several of which may
        hold it.
    on_sky
        Whether a region selects part of it; a psf, for one, may lie nowhere.
    alerts
        Of a survey of alerts: the alert, or those of an object, by time. Then `circle` is about the first.
    kinds
        Names of the stamps that it has of each of them.
    is_whole
        Whether these are all there are: of alerts that are closed to who asks nothing is told.
    """

    dataset: str
    survey: Survey
    image: ImageRecord | None
    circle: Circle | None
    polygon: Polygon | None
    band_m: Interval
    time_mjd: Interval | None
    pol_states: tuple[str, ...]
    filters: tuple[str, ...]
    sample: str
    example: CutoutRequest | None
    on_sky: bool = True
    alerts: tuple[AlertRecord, ...] = ()
    kinds: tuple[str, ...] = ()
    is_whole: bool = True

    @property
    def is_object(self) -> bool:
        """Whether it is all alerts of an object."""
        return bool(self.alerts) and self.dataset.split("/")[1] == "object"


def facts_of_image(survey: Survey, image: ImageRecord, place: Row[Any]) -> DatasetFacts:
    """Facts of one image."""
    known = image.t_min_mjd is not None and image.t_max_mjd is not None
    on_sky = not is_layer(image.dataset) or _is_on_sky(image)
    return DatasetFacts(
        dataset=image.dataset,
        survey=survey,
        image=image,
        circle=_covering_circle(place) if on_sky else None,
        polygon=_polygon(place.s_region) if on_sky else None,
        band_m=_band_of(image, survey),
        time_mjd=Interval(image.t_min_mjd or 0.0, image.t_max_mjd or 0.0) if known else None,
        pol_states=image.pol_states,
        filters=(image.band,),
        sample=image.dataset,
        example=CutoutRequest(image.dataset, _small_circle(place)) if on_sky else None,
        on_sky=on_sky,
    )


def _band_of(image: ImageRecord, survey: Survey) -> Interval:
    """Wavelengths of an image: those of its channels, else of its band."""
    band = survey.band(image.band)
    return Interval(image.em_min_m or band.em_min_m, image.em_max_m or band.em_max_m)


def facts_of_bands(survey: Survey, dataset: str, places: list[Row[Any]]) -> DatasetFacts:
    """Facts of a survey, or of one of its bands, that has images of the bands of `places`."""
    bands = [survey.band(place.band) for place in places]
    chosen = (bands[0].label,) if dataset == survey.name else ()
    example = CutoutRequest(dataset, _small_circle(places[0]), filters=chosen)
    return DatasetFacts(
        dataset=dataset,
        survey=survey,
        image=None,
        circle=None,
        polygon=None,
        band_m=Interval(min(band.em_min_m for band in bands), max(band.em_max_m for band in bands)),
        time_mjd=None,
        pol_states=survey.pol_states,
        filters=tuple(band.label for band in bands),
        sample=places[0].key,
        example=example if survey.kind == "coadd" else None,
    )


def _is_on_sky(image: ImageRecord) -> bool:
    try:
        wcs_of(image)
    except ImageRefused:
        return False
    return True


def _covering_circle(place: Row[Any]) -> Circle:
    """Circle about the image, and about its outline, whose vertices are rounded."""
    radius = math.ceil(place.s_fov / 2 * 1e6 + 0.1) / 1e6
    return Circle(place.s_ra, place.s_dec, min(radius, 180.0))


def _polygon(s_region: str) -> Polygon | None:
    shape, _, *numbers = s_region.split()
    if shape != "POLYGON":
        return None
    values = [float(number) for number in numbers]
    return Polygon(tuple(zip(values[::2], values[1::2], strict=True)))


def _small_circle(place: Row[Any]) -> Circle:
    radius = min(EXAMPLE_PX * place.s_pixel_scale_deg, EXAMPLE_PART * place.s_fov)
    return Circle(round(place.s_ra, 6), round(place.s_dec, 6), float(f"{radius:.3g}"))
