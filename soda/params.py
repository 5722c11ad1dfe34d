"""From the parameters a client sent to a `CutoutRequest`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dali import xtypes
from dali.caller import ANONYMOUS, Caller
from dali.errors import NotFound, UsageError, quoted
from dali.parameters import Parameters, parse_max_records, parse_run_id, refuse_unknown, refuse_uploads
from soda.pictures import Triplet, band_label, read_picture, rgb
from soda.products import read_detail, read_edge, read_layout, read_mosaic
from soda.reader import Reader
from soda.spelling import plain_request, with_url
from soda.table import ARRAY, FITS, MEDIA_TYPES, NAMES, PARAMETERS, POL_STATES
from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest, Interval, MosaicOptions, PictureOptions
from surveys.sky.stencil import CenteredBox, Circle, Polygon, Range, Size, Stencil

MAX_ID_LENGTH = 500

#: Of DALI 1.1, section 3.4; taken and without effect here, as are their values.
_WITHOUT_EFFECT = ("REQUEST", "VERSION")
_KNOWN = frozenset((*NAMES, *_WITHOUT_EFFECT, "MAXREC", "UPLOAD"))
_SPATIAL = ("POS", "CIRCLE", "POLYGON", "CENTER")
#: What says where, and nothing of the product.
_PLACES = frozenset(("ID", *_SPATIAL, "SIZE"))


@dataclass(frozen=True, slots=True)
class SodaRequest:
    """A valid request: the cutout, the media type its answer is to have, the client's RUNID ("" for none)."""

    cutout: CutoutRequest
    media_type: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Region:
    """A region as it was sent: the `number`-th value, from 1, of the parameter `name`."""

    name: str
    number: int
    stencil: Stencil


@dataclass(frozen=True, slots=True)
class ManyCutouts:
    """A valid request for all combinations of some values.

    Parameters
    ----------
    datasets
        What follows ``?`` in the identifiers; one at least.
    regions, bands_m, times_mjd, triplets
        In the order of the values; empty where none was sent, which is no restriction.
    common
        What all cutouts share: filters that do not multiply, and the product.
    media_type
        Of the results.
    run_id
        The client's RUNID, "" for none.
    caller
        Who asks.
    """

    datasets: tuple[str, ...]
    regions: tuple[Region, ...]
    bands_m: tuple[Interval, ...]
    times_mjd: tuple[Interval, ...]
    triplets: tuple[Triplet, ...]
    common: CutoutRequest
    media_type: str
    run_id: str
    caller: Caller = ANONYMOUS

    @property
    def count(self) -> int:
        """Number of combinations."""
        return math.prod(
            max(1, len(values))
            for values in (self.datasets, self.regions, self.bands_m, self.times_mjd, self.triplets)
        )


def parse_request(parameters: Parameters, identifiers: Identifiers) -> SodaRequest:
    """Turn parameters into a request for one cutout.

    Raises
    ------
    UsageError
        With every fault found. Sync takes one value of each parameter but POL and FILTER
        (`MultiValuedParamNotSupported`), one spatial parameter, and none that it does not know.
    """
    read = _reader(parameters, several=False)
    if parameters.values.keys() <= _PLACES:
        # Most say but where: nothing else is looked for.
        datasets, regions = _read_places(read, identifiers, None)
        read.faults.raise_any()
        return SodaRequest(plain_request(datasets[0], _only(regions), identifiers), FITS, "")
    many = _read_all(read, identifiers)
    read.faults.raise_any()
    cutout = replace(
        many.common,
        dataset=many.datasets[0],
        stencil=_only(many.regions),
        band_m=next(iter(many.bands_m), None),
        time_mjd=next(iter(many.times_mjd), None),
        picture=with_bands(many.common.picture, next(iter(many.triplets), None)),
    )
    return SodaRequest(with_url(cutout, identifiers), many.media_type, many.run_id)


def with_bands(picture: PictureOptions | None, bands: Triplet | None) -> PictureOptions | None:
    """Say which bands become red, green and blue; a request that is no picture stays as it is."""
    return picture if picture is None or bands is None else replace(picture, bands=bands)


def parse_many(parameters: Parameters, identifiers: Identifiers) -> ManyCutouts:
    """Turn parameters into a request for several cutouts.

    Raises
    ------
    UsageError
        With every fault found, in the words of `parse_request`.
    """
    read = _reader(parameters, several=True)
    many = _read_all(read, identifiers)
    read.faults.raise_any()
    return many


def _reader(parameters: Parameters, *, several: bool) -> Reader:
    """Begin to turn a client's text into values: look at the names."""
    if not parameters:
        raise UsageError("no parameter was given", f"This resource takes {', '.join(NAMES)}.")
    read = Reader(parameters, several)
    for fault in (*_unknown(parameters), *refuse_uploads(parameters)):
        read.faults.add(fault)
    if not read.given("ID"):
        read.faults.add(UsageError("ID is missing", f"This resource takes {', '.join(NAMES)}."))
    return read


def parse_products(parameters: Parameters, datasets: tuple[str, ...]) -> ManyCutouts:
    """Turn parameters that name neither datasets nor regions into a request for some datasets.

    Raises
    ------
    UsageError
        With every fault found, in the words of `parse_request`.
    """
    read = Reader(parameters, several=True)
    for fault in _unknown(parameters):
        read.faults.add(fault)
    media_type = read.one("RESPONSEFORMAT", parse_media_type) or FITS
    many = _read_products(read, datasets, (), media_type, read_mosaic(read))
    read.faults.raise_any()
    return many


def _read_places(
    read: Reader, identifiers: Identifiers, pixscale_deg: float | None
) -> tuple[tuple[str, ...], tuple[Region, ...]]:
    """Read what says where: datasets and regions."""
    datasets = read.each("ID", lambda did: parse_dataset(did, identifiers))
    return datasets, _regions(read, pixscale_deg)


def _only(regions: Sequence[Region]) -> Stencil | None:
    """Return the one region there is, if there is one."""
    return regions[0].stencil if regions else None


def _read_all(read: Reader, identifiers: Identifiers) -> ManyCutouts:
    """Read any request."""
    media_type = read.one("RESPONSEFORMAT", parse_media_type) or FITS
    mosaic = read_mosaic(read)
    datasets, regions = _read_places(read, identifiers, mosaic.pixscale_deg)
    return _read_products(read, datasets, regions, media_type, mosaic)


def _read_products(
    read: Reader,
    datasets: tuple[str, ...],
    regions: tuple[Region, ...],
    media_type: str,
    mosaic: MosaicOptions,
) -> ManyCutouts:
    """Read what is said of products."""
    many = ManyCutouts(
        datasets=datasets,
        regions=regions,
        bands_m=read.each(
            "BAND", lambda text: Interval(*xtypes.parse_interval(text, "BAND", "wavelengths in metres"))
        ),
        times_mjd=read.each(
            "TIME", lambda text: Interval(*xtypes.parse_interval(text, "TIME", "MJD, days, UTC"))
        ),
        triplets=read.each("RGB", rgb),
        common=_common(read, media_type, mosaic),
        media_type=media_type,
        run_id=read.one("RUNID", parse_run_id) or "",
    )
    read.one("MAXREC", parse_max_records)
    for name in _WITHOUT_EFFECT:
        read.one(name, str)
    _refuse_colour_of_one_band(read, many)
    return many


def _common(read: Reader, media_type: str, mosaic: MosaicOptions) -> CutoutRequest:
    """Read what all cutouts of a request share."""
    return CutoutRequest(
        dataset="",
        pol=tuple(sorted(read.union("POL", _pol_state), key=POL_STATES.index)),
        filters=tuple(sorted(read.union("FILTER", lambda text: band_label(text, "FILTER")))),
        mask=read.flag("MASK"),
        checksum=read.flag("CHECKSUM"),
        edge=read_edge(read),
        detail=read_detail(read),
        layout=read_layout(read),
        mosaic=mosaic,
        picture=read_picture(read, media_type),
        array=media_type == ARRAY,
    )


def _refuse_colour_of_one_band(read: Reader, many: ManyCutouts) -> None:
    """Tell that a colour picture is asked of what has but one band, as far as that can be seen."""
    if many.common.picture is None:
        return
    asked = [p.name for p in PARAMETERS if p.of_colour and read.given(p.name)]
    if not asked:
        return
    if single := next((dataset for dataset in many.datasets if "/" in dataset), None):
        read.refuse(
            f"{asked[0]} is for colour pictures of several bands, and {quoted(single)} is of one",
            f"Name the survey as ID, as in ID=…?{single.partition('/')[0]}, or leave {asked[0]} out.",
        )
    if len(many.common.filters) == 1 and not many.triplets:
        read.refuse(
            f"{asked[0]} is for colour pictures of several bands, and FILTER leaves one, "
            f"{quoted(many.common.filters[0])}",
            f"Repeat FILTER for the other bands, or leave {asked[0]} out.",
        )


def _unknown(parameters: Parameters) -> list[UsageError]:
    return [] if parameters.values.keys() <= _KNOWN else refuse_unknown(parameters, _KNOWN, NAMES)


def parse_dataset(did: str, identifiers: Identifiers) -> str:
    """Read the ID of a dataset: what follows its ``?``."""
    if len(did) > MAX_ID_LENGTH:
        raise NotFound(f"no dataset has the ID {quoted(did)}")
    try:
        return identifiers.parse(did)
    except UnknownDataset as fault:
        raise NotFound(
            str(fault), f"IDs here are {identifiers.did('survey/band/image')}, or shorter."
        ) from fault


def _regions(read: Reader, pixscale_deg: float | None) -> tuple[Region, ...]:
    given = [name for name in _SPATIAL if name in read.parameters.values]
    if len(given) > 1 and not read.several:
        read.faults.add(
            UsageError(f"{' and '.join(given)} are each a region; only one is taken", "Send one of them.")
        )
    found: list[Region] = []
    for name in given:
        if name != "CENTER":
            found += _numbered(name, read.each(name, _SHAPES[name]))
    if read.given("CENTER") or read.given("SIZE"):
        found += _numbered("CENTER", _centered_boxes(read, pixscale_deg))
    return tuple(found)


def _numbered(name: str, stencils: Sequence[Stencil]) -> list[Region]:
    return [Region(name, number, stencil) for number, stencil in enumerate(stencils, start=1)]


def _centered_boxes(read: Reader, pixscale_deg: float | None) -> tuple[CenteredBox, ...]:
    centers = read.each("CENTER", lambda text: xtypes.parse_point(text, "CENTER"))
    size = read.one("SIZE", parse_box_size)
    if read.given("CENTER") != read.given("SIZE"):
        read.faults.add(
            UsageError("CENTER and SIZE go together", "Write CENTER=ra dec and SIZE=30arcsec, or SIZE=256px.")
        )
    if size is None:
        return ()
    size = on_grid(size, pixscale_deg)
    return tuple(CenteredBox(*center, size) for center in centers)


def parse_box_size(text: str, name: str = "SIZE") -> Size:
    """Read width and height of a box of fixed size."""
    return Size(*xtypes.parse_size(text, name))


def on_grid(size: Size, pixscale_deg: float | None) -> Size:
    """Take pixels for those of the grid that is asked for, where one is, not for those of an image."""
    if not size.in_pixels or pixscale_deg is None:
        return size
    return Size(size.width * pixscale_deg, size.height * pixscale_deg, in_pixels=False)


def _circle(text: str, name: str = "CIRCLE") -> Circle:
    return Circle(*xtypes.parse_circle(text, name))


def _polygon(text: str, name: str = "POLYGON") -> Polygon:
    try:
        return Polygon.of(xtypes.parse_polygon(text, name))
    except ValueError as fault:
        raise UsageError(f"{name} {quoted(text)} bounds no area: it has {fault}") from fault


def _pos(text: str) -> Stencil:
    shape, rest = xtypes.parse_shape(text, "POS")
    match shape:
        case "CIRCLE":
            return _circle(rest, "POS CIRCLE")
        case "POLYGON":
            return _polygon(rest, "POS POLYGON")
        case _:
            return Range(*xtypes.parse_range(rest, "POS RANGE"))


_SHAPES: dict[str, Callable[[str], Stencil]] = {"POS": _pos, "CIRCLE": _circle, "POLYGON": _polygon}


def _pol_state(text: str) -> str:
    state = text.strip(" ")
    if state not in POL_STATES:
        raise UsageError(
            f"POL is one of {', '.join(POL_STATES)}; got {quoted(text)}", "Repeat POL for several."
        )
    return state


def parse_media_type(text: str) -> str:
    """Read the media type that an answer is to have."""
    # DALI 1.1, section 3.4.3: parameters of a media type (";…") are tolerated.
    media_type = MEDIA_TYPES.get(text.partition(";")[0].strip(" ").lower())
    if media_type is None:
        raise UsageError(
            f"RESPONSEFORMAT is {', '.join(MEDIA_TYPES)}; got {quoted(text)}", "Write RESPONSEFORMAT=fits."
        )
    return media_type
