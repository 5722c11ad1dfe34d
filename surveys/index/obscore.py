"""Images and survey bands by the names of ObsCore, and what can be asked of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from surveys.index.hull import BandHull
from surveys.request import Interval
from surveys.sky.stencil import Shape
from surveys.survey import Band, Survey

ProductType = Literal["image", "cube"]

#: Of a survey band: it is made of calibrated images.
BAND_CALIB_LEVEL = 3


@dataclass(frozen=True, slots=True)
class ObsConstraints:
    """What is asked of datasets: values of one kind are alternatives, and every kind that has any restricts.

    A dataset that does not know a value does not satisfy a constraint on it.

    Parameters
    ----------
    shapes
        Its footprint has a point in common with one of them.
    em_m, t_mjd
        Its interval has a point in common (metres, MJD).
    s_fov_deg, t_exptime_s
        The value lies within, ends included.
    pol
        It has one of these states.
    calib_levels, product_types
        One of them.
    datasets
        Its identifier (what follows ``?``, in lower case) is one of them.
    targets
        It is of one of these objects, as it is written; images are of none.
    """

    shapes: tuple[Shape, ...] = ()
    em_m: tuple[Interval, ...] = ()
    t_mjd: tuple[Interval, ...] = ()
    s_fov_deg: tuple[Interval, ...] = ()
    t_exptime_s: tuple[Interval, ...] = ()
    pol: tuple[str, ...] = ()
    calib_levels: tuple[int, ...] = ()
    product_types: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObsImage:
    """An image by the names of ObsCore; None is unknown.

    Parameters
    ----------
    shape
        In numpy order.
    wcs_text
        Cards of the WCS, of a cube; "" of an image of two axes.
    """

    survey: Survey
    dataset: str
    band: str
    s_ra_deg: float | None
    s_dec_deg: float | None
    s_fov_deg: float | None
    s_region: str | None
    s_xel1: int | None
    s_xel2: int | None
    s_pixel_scale_deg: float | None
    t_min_mjd: float | None
    t_max_mjd: float | None
    t_exptime_s: float | None
    em_min_m: float | None
    em_max_m: float | None
    pol_states: tuple[str, ...]
    calib_level: int
    obs_release_date: datetime | None
    shape: tuple[int, ...]
    bitpix: int
    wcs_text: str

    @property
    def planes(self) -> int:
        """Number of two-dimensional images in it."""
        return math.prod(self.shape) // max(1, (self.s_xel1 or 1) * (self.s_xel2 or 1))

    @property
    def product_type(self) -> ProductType:
        """ObsCore's `dataproduct_type`."""
        return "cube" if self.planes > 1 else "image"


@dataclass(frozen=True, slots=True)
class ObsBand:
    """A band of a survey that can be cut anywhere, and where that is."""

    survey: Survey
    band: Band
    hull: BandHull

    @property
    def dataset(self) -> str:
        """Its identifier."""
        return f"{self.survey.name}/{self.band.label}"
