"""One file read for the index: every image in it described, or refused with the reason.

Runs in processes of its own; what goes in and comes out is plain values.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from astropy.io import fits
from lsst.sphgeom import Region

from surveys.cube.axes import axes_to_cut
from surveys.cube.extent import times_of_axis, wavelengths_of
from surveys.errors import ImageRefused
from surveys.fits.template import unshiftable_card
from surveys.image import SideTable
from surveys.index.cards import celestial_axes, image_header, wcs_cards
from surveys.index.cells import cells_of
from surveys.index.files import FoundFile, Match
from surveys.index.fitsfile import FitsFile, Hdu, card_number, card_value, parse_cards
from surveys.index.hdus import SCALING, Pixels, has_pixels, read_pixels, scaling
from surveys.index.metadata import Times, pol_states_of, times_of
from surveys.index.sidetables import read_side_tables
from surveys.sky.footprint import footprint
from surveys.sky.wcs import CelestialWcs
from surveys.survey import ALL_HDUS, FIRST_HDU, Band, Layer, Survey, UniqueBorder, UniqueCards
from surveys.template import BAND

_ENDING = re.compile(r"(\.(fits?|fts))?(\.(fz|gz))?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sky:
    """Where an image lies and when it was taken."""

    s_ra_deg: float
    s_dec_deg: float
    s_fov_deg: float
    s_region: str
    cover: bytes
    level: int
    cells: tuple[int, ...]
    pixel_scale_deg: float
    times: Times
    em_m: tuple[float, float] | None
    pol_states: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScannedHdu:
    """One HDU with pixels, as it will stand in the index. `sky` and `name` are those of images only."""

    role: str
    band: str | None
    fields: dict[str, str]
    hdu: int
    extname: str
    tag: str
    pixels: Pixels
    x_axis: int
    y_axis: int
    wcs_text: str
    name: str = ""
    sky: Sky | None = None


@dataclass(frozen=True, slots=True)
class FileScan:
    """All that one file gave. `refused` has ``(number of the HDU or None for the file, reason)``."""

    found: FoundFile
    sha256: str | None
    hdus: tuple[ScannedHdu, ...]
    refused: tuple[tuple[int | None, str], ...]


def scan_file(survey: Survey, found: FoundFile, checksum: bool) -> FileScan:
    """Read the headers of one file. Whatever is wrong with it is an answer, never an exception."""
    if found.refusal is not None:
        return FileScan(found, None, (), ((None, found.refusal),))
    try:
        with _opened(found) as stream:
            hdus, refused = _Scanner(survey, found, FitsFile(stream, found.size)).scan()
            sha256 = _digest(stream) if checksum else None
            _still_the_same(found, stream)
    except ImageRefused as refusal:
        return FileScan(found, None, (), ((None, str(refusal)),))
    except OSError as error:
        return FileScan(found, None, (), ((None, f"it cannot be read: {error.strerror or 'I/O error'}"),))
    except Exception as error:  # a library's surprise at one file must not stop the others
        return FileScan(found, None, (), ((None, f"it cannot be understood ({type(error).__name__})"),))
    return FileScan(found, sha256, tuple(hdus), tuple(refused))


@contextlib.contextmanager
def _opened(found: FoundFile) -> Iterator[BinaryIO]:
    # Not to block on what was replaced by a pipe since the walk.
    descriptor = os.open(found.location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _still_the_same(found, stream)
        yield stream


def _still_the_same(found: FoundFile, stream: BinaryIO) -> None:
    facts = os.fstat(stream.fileno())
    if (facts.st_size, facts.st_mtime_ns) != (found.size, found.mtime_ns):
        raise ImageRefused("it changed while it was read")


def file_sha256(location: Path) -> str | None:
    """SHA-256 of a file; None where it cannot be read."""
    try:
        with location.open("rb") as stream:
            return _digest(stream)
    except OSError:
        return None


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    return hashlib.file_digest(cast(io.BufferedReader, stream), "sha256").hexdigest()


def _layers_in(survey: Survey, match: Match) -> list[Layer]:
    """Layers a file holds: the one whose template it fits, and with an image those that share its files."""
    return [
        layer
        for layer in survey.layers
        if layer.role == match.role or (match.role == "image" and not layer.own_files)
    ]


def _walk(file: FitsFile, layers: Sequence[Layer]) -> list[Hdu]:
    """HDUs of a file, as far as needed to find those the layers want."""
    hdus: list[Hdu] = []
    for hdu in file.hdus():
        hdus.append(hdu)
        if all(layer.hdu != ALL_HDUS and _choose(layer, hdus) for layer in layers):
            break
    return hdus


def _choose(layer: Layer, hdus: Sequence[Hdu]) -> list[Hdu]:
    match layer.hdu:
        case int(number):
            chosen = [hdu for hdu in hdus if hdu.number == number]
            if chosen and not has_pixels(chosen[0]):
                raise ImageRefused(f"HDU {number} is no image")
            return chosen
        case str(name) if name in (FIRST_HDU, ALL_HDUS):
            chosen = [hdu for hdu in hdus if has_pixels(hdu)]
            return chosen if name == ALL_HDUS else chosen[:1]
        case name:
            chosen = [hdu for hdu in hdus if _extname(hdu).lower() == str(name).lower()]
            return [hdu for hdu in chosen if has_pixels(hdu)][:1]


def _nothing_for(layer: Layer) -> str:
    if layer.hdu in (FIRST_HDU, ALL_HDUS):
        return "it has no image"
    return f"it has no image HDU {layer.hdu!r} for the layer {layer.role}"


def _tags(hdus: Sequence[Hdu]) -> dict[int, str]:
    """Tell the HDUs of one file apart: by EXTNAME where that is enough, else by number."""
    names = Counter(_extname(hdu).lower() for hdu in hdus)
    return {
        hdu.number: name if (name := _extname(hdu)) and names[name.lower()] == 1 else str(hdu.number)
        for hdu in hdus
    }


def _extname(hdu: Hdu) -> str:
    name = str(card_value(hdu.header, "EXTNAME") or "").strip()
    # What compressors write where the image had no name.
    return "" if name == "COMPRESSED_IMAGE" else name


class _Scanner:
    """Scans the HDUs of one open file."""

    def __init__(self, survey: Survey, found: FoundFile, file: FitsFile) -> None:
        self._survey = survey
        self._found = found
        self._file = file
        self._layers = [(layer, match) for match in found.matches for layer in _layers_in(survey, match)]
        self._hdus = _walk(file, [layer for layer, _ in self._layers])

    def scan(self) -> tuple[list[ScannedHdu], list[tuple[int | None, str]]]:
        """Describe every HDU a layer wants; what is refused comes with its number and the reason."""
        scanned: list[ScannedHdu] = []
        refused: list[tuple[int | None, str]] = []
        for layer, match in self._layers:
            chosen = _choose(layer, self._hdus)
            if not chosen:
                refused.append((None, _nothing_for(layer)))
            tags = _tags(chosen) if layer.hdu == ALL_HDUS else {}
            for hdu in chosen:
                try:
                    scanned.append(self._scan_hdu(layer, match, hdu, tags.get(hdu.number, "")))
                except ImageRefused as refusal:
                    refused.append((hdu.number, str(refusal)))
        return scanned, refused

    def _scan_hdu(self, layer: Layer, match: Match, hdu: Hdu, tag: str) -> ScannedHdu:
        survey, primary = self._survey, self._hdus[0]
        pixels = read_pixels(self._file, hdu)
        inherits = hdu.number > 0 and card_value(hdu.header, "INHERIT") is True
        text = image_header(pixels.text, primary if inherits else None, survey.fix)
        header = parse_cards(text)
        # What is not about pixels, such as times, often stands in the primary alone, with or without INHERIT.
        told = header
        if hdu.number > 0 and not inherits:
            told = parse_cards(image_header(pixels.text, primary, survey.fix))
        image = layer.role == "image"
        if not SCALING.isdisjoint(survey.fix):
            pixels = replace(pixels, **scaling(header, pixels.bitpix))
        try:
            x_axis, y_axis = celestial_axes(header, len(pixels.shape))
        except ImageRefused:
            if image:
                raise
            x_axis, y_axis = 0, 1  # other layers lie on the grid of their image, whether they say so or not
        wcs_text = wcs_cards(text)
        if card := unshiftable_card(text, (x_axis, y_axis), axes_to_cut(wcs_text, pixels.shape)):
            raise ImageRefused(f"its card {card} is no number, so that a cutout cannot carry it")
        scanned = ScannedHdu(
            role=layer.role,
            band=_band_label(survey, match, told) if image or BAND in match.fields else None,
            fields={name: value for name, value in match.fields.items() if name != BAND},
            hdu=hdu.number,
            extname=_extname(hdu),
            tag=tag,
            pixels=replace(pixels, text=text),
            x_axis=x_axis,
            y_axis=y_axis,
            wcs_text=wcs_text,
            name=_name(survey, match, self._found, tag) if image else "",
        )
        if not image:
            return scanned
        tables = read_side_tables(self._file.stream, self._found.size, header, scanned.wcs_text, pixels.shape)
        return _on_sky(survey, scanned, told, tables)


def _on_sky(
    survey: Survey, scanned: ScannedHdu, header: fits.Header, tables: tuple[SideTable, ...]
) -> ScannedHdu:
    shape, wcs_text = scanned.pixels.shape, scanned.wcs_text
    nx, ny = shape[-1 - scanned.x_axis], shape[-1 - scanned.y_axis]
    wcs = CelestialWcs.from_text(wcs_text, scanned.x_axis, scanned.y_axis, nx, ny)
    place = footprint(wcs)
    cover: Region = place.cover
    level, cells = cells_of(cover)
    times = times_of(header, survey)
    if along := times_of_axis(wcs_text, shape, tables):
        times = replace(times, t_min=along[0], t_max=along[1])
    band = survey.band(scanned.band or "")
    attributes = _attributes(survey, band, header, times)
    if tables:
        attributes["tables"] = [asdict(table) for table in tables]
    sky = Sky(
        s_ra_deg=place.s_ra_deg,
        s_dec_deg=place.s_dec_deg,
        s_fov_deg=place.s_fov_deg,
        s_region=place.s_region,
        cover=cover.encode(),
        level=level,
        cells=tuple(cells),
        pixel_scale_deg=place.pixel_scale_deg,
        times=times,
        em_m=wavelengths_of(wcs_text, shape, tables, wcs),
        pol_states=pol_states_of(header, shape, survey),
        attributes=attributes,
    )
    return replace(scanned, sky=sky)


def _band_label(survey: Survey, match: Match, header: fits.Header) -> str:
    word = match.fields.get(BAND)
    if word is None and survey.band_card is not None:
        value = str(card_value(header, survey.band_card) or "").strip()
        # "g DECam SDSS c0001 4720.0 1520.0": the band is the first word, unless the whole is declared.
        for word in (value, value.partition(" ")[0]):
            for band in survey.bands:
                if word in band.words:
                    return band.label
        raise ImageRefused(f"{survey.band_card} = {value!r} is no band of the survey")
    if word is None:
        return survey.bands[0].label
    return next(band.label for band in survey.bands if word in band.words)


def _name(survey: Survey, match: Match, found: FoundFile, tag: str) -> str:
    stem = _ENDING.sub("", found.path.rpartition("/")[2])
    name = stem if survey.dataset is None else survey.dataset.expand({**match.fields, "stem": stem})
    return f"{name}-{tag}" if tag else name


def _attributes(survey: Survey, band: Band, header: fits.Header, times: Times) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    zeropoint = _zeropoint_mag(band, header, times)
    if zeropoint is not None:
        attributes["zeropoint_mag"] = zeropoint
    if isinstance(survey.unique, UniqueBorder):
        attributes["unique"] = {"border_px": survey.unique.pixels}
    elif isinstance(survey.unique, UniqueCards):
        attributes["unique"] = _unique_limits(asdict(survey.unique), header)
    return attributes


def _zeropoint_mag(band: Band, header: fits.Header, times: Times) -> float | None:
    """Zero point of an image; None where it is not declared, or its cards are missing."""
    if band.zeropoint is None:
        return None
    zeropoint = band.zeropoint
    value = zeropoint.constant if zeropoint.card is None else card_number(header, zeropoint.card)
    if value is None or not zeropoint.exptime:
        return value
    return value + 2.5 * math.log10(times.t_exptime) if times.t_exptime else None


def _unique_limits(cards: Mapping[str, str], header: fits.Header) -> dict[str, float]:
    limits: dict[str, float] = {}
    for limit, keyword in cards.items():
        value = card_number(header, keyword)
        if value is None:
            raise ImageRefused(f"the card {keyword}, a limit of its unique area, is missing or no number")
        limits[limit] = value
    return limits
