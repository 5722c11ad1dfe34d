"""The text that describes a HiPS (HiPS 1.0, section 4.4.1)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from surveys.hips.geometry import SAME_SCALE, TILE, pixel_scale_deg
from surveys.survey import Survey

VERSION = "1.4"

#: Names of wavebands by where they end, metres.
_REGIMES = (
    ("Gamma-ray", 1e-11),
    ("X-ray", 1e-8),
    ("EUV", 1e-7),
    ("UV", 3e-7),
    ("Optical", 1e-6),
    ("Infrared", 1e-4),
    ("Millimeter", 1e-2),
    ("Radio", math.inf),
)


@dataclass(frozen=True, slots=True)
class Centre:
    """Where a viewer begins, ICRS, and how much it shows."""

    ra_deg: float
    dec_deg: float
    fov_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HipsFacts:
    """What a build tells of its HiPS.

    Parameters
    ----------
    creator_did
        Identifier of the survey band.
    title, bands
        What it shows.
    order
        Of the deepest tiles.
    formats
        Of tiles, the first is the one that viewers take.
    released, created
        When this edition was made, and the first.
    builder
        Name and version of the program.
    tiles
        Number of tiles, all orders and formats.
    kilobytes
        Size of all of them.
    sky_fraction
        Part of the sky, 0 to 1, of the deepest tiles.
    centre
        Of what it covers.
    cuts, data_range
        Pixel values of black and white, and the least and the greatest; None of colours.
    processing
        How it was made, in words.
    times_mjd
        Of the first and the last image, None where unknown.
    """

    creator_did: str
    title: str
    bands: tuple[str, ...]
    order: int
    formats: tuple[str, ...]
    released: datetime
    created: datetime
    builder: str
    tiles: int
    kilobytes: int
    sky_fraction: float
    centre: Centre
    cuts: tuple[float, float] | None = None
    data_range: tuple[float, float] | None = None
    processing: str = ""
    times_mjd: tuple[float, float] | None = None


def _sampling(facts: HipsFacts, survey: Survey) -> str:
    """Tell how pixels were made; "" of colours, which are made of other HiPS."""
    if "fits" not in facts.formats:
        return ""
    scale_deg = survey.pixel_scale_deg
    is_coarser = scale_deg is not None and pixel_scale_deg(facts.order) > SAME_SCALE * scale_deg
    return "mean" if is_coarser else "lanczos3"


def write_properties(facts: HipsFacts, survey: Survey) -> str:
    """Write the file ``properties``, one ``keyword = value`` a line."""
    publisher = survey.publisher
    bands = [survey.band(label) for label in facts.bands]
    interval = min(band.em_min_m for band in bands), max(band.em_max_m for band in bands)
    status = "public master clonableOnce" if survey.is_public else "private master unclonable"
    pairs = [
        ("creator_did", facts.creator_did),
        ("obs_collection", survey.obs_collection),
        ("obs_title", facts.title),
        ("obs_description", survey.description),
        ("obs_ack", survey.credit),
        ("prov_progenitor", survey.title),
        ("bib_reference", publisher.bibcode or publisher.doi),
        ("obs_copyright_url", publisher.url),
        ("hips_licence", publisher.licence),
        ("hips_creator", publisher.name),
        *(("obs_regime", name) for name in _regimes(*interval)),
        ("em_min", _number(interval[0])),
        ("em_max", _number(interval[1])),
        *(zip(("t_min", "t_max"), map(_number, facts.times_mjd), strict=True) if facts.times_mjd else ()),
        ("dataproduct_type", "image"),
        ("dataproduct_subtype", "color" if len(facts.bands) > 1 else ""),
        ("client_category", f"Image/{_regimes(*interval)[0]}/{survey.obs_collection.replace('/', ' ')}"),
        ("hips_version", VERSION),
        ("hips_builder", facts.builder),
        ("hips_creation_date", _moment(facts.created)),
        ("hips_release_date", _moment(facts.released)),
        ("hips_status", status),
        ("hips_frame", "equatorial"),
        ("hips_order", str(facts.order)),
        ("hips_order_min", "0"),
        ("hips_tile_width", str(TILE)),
        ("hips_tile_format", " ".join(facts.formats)),
        ("hips_pixel_bitpix", "-32" if "fits" in facts.formats else ""),
        ("hips_pixel_scale", _number(pixel_scale_deg(facts.order))),
        ("hips_pixel_cut", " ".join(map(_number, facts.cuts)) if facts.cuts else ""),
        ("hips_data_range", " ".join(map(_number, facts.data_range)) if facts.data_range else ""),
        ("hips_sampling", _sampling(facts, survey)),
        ("hips_hierarchy", "mean"),
        ("hips_processing", facts.processing),
        ("hips_initial_ra", f"{facts.centre.ra_deg:.6f}"),
        ("hips_initial_dec", f"{facts.centre.dec_deg:.6f}"),
        ("hips_initial_fov", _number(facts.centre.fov_deg)),
        ("hips_nb_tiles", str(facts.tiles)),
        ("hips_estsize", str(facts.kilobytes)),
        ("moc_sky_fraction", _number(facts.sky_fraction)),
    ]
    return format_pairs(pairs)


def format_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Write lines of ``keyword = value``; those without a value are left out."""
    lines = ((keyword, " ".join(value.split())) for keyword, value in pairs)
    return "".join(f"{keyword:<20} = {value}\n" for keyword, value in lines if value)


def read_properties(text: str) -> Mapping[str, str]:
    """Values by keyword; of those that are repeated, the last."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {keyword.strip(): value.strip() for keyword, mark, value in pairs if mark}


def _regimes(low_m: float, high_m: float) -> list[str]:
    found, lower = [], 0.0
    for name, upper in _REGIMES:
        if low_m < upper and high_m > lower:
            found.append(name)
        lower = upper
    return found


def _number(value: float) -> str:
    return f"{value:.8g}"


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")
