"""Synthetic images with known pixels, and a catalog of them that needs no index."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from surveys.execute import execute
from surveys.fits.source import Source
from surveys.image import FileFacts, ImageRecord, ZtileLayout
from surveys.plan import Cost, CutoutPlan, Grid, Part, Piece
from surveys.request import CutoutRequest
from surveys.sky.pixels import PixelBox
from surveys.sky.stencil import CenteredBox, Size

INDEXED = datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)
TAN = (
    ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CUNIT1", "deg"), ("CUNIT2", "deg"),
    ("CRPIX1", 41.25), ("CRPIX2", 33.75), ("CRVAL1", 150.1), ("CRVAL2", -2.2),
    ("CD1_1", -7.3e-5), ("CD1_2", 1e-6), ("CD2_1", 2e-6), ("CD2_2", 7.3e-5), ("RADESYS", "ICRS"),
)  # fmt: skip
Cards = Iterable[tuple[Any, ...]]


def ramp(shape: Sequence[int], dtype: str = "f4") -> NDArray[Any]:
    """Pixels that are all different, as far as the type allows."""
    return np.arange(np.prod(shape)).reshape(tuple(shape)).astype(dtype)


def sky(shape: Sequence[int], dtype: str = "f4", seed: int = 1) -> NDArray[Any]:
    """Noise about 100, as an image of the sky has."""
    return np.random.default_rng(seed).normal(100.0, 20.0, tuple(shape)).astype(dtype)


def header_of(cards: Cards = TAN) -> fits.Header:
    header = fits.Header()
    for card in cards:
        header.append(card, end=True)
    return header


def write_plain(path: Path, pixels: NDArray[Any], cards: Cards = TAN) -> Path:
    """Store `pixels` as they are in a primary HDU; BSCALE, BZERO and BLANK may be among the cards."""
    hdu = fits.PrimaryHDU(pixels)
    raw = fits.Header([fits.Card("SIMPLE", True)])
    raw["BITPIX"] = hdu.header["BITPIX"]
    raw["NAXIS"] = pixels.ndim
    for axis, length in enumerate(reversed(pixels.shape), 1):
        raw[f"NAXIS{axis}"] = length
    raw.extend(header_of(cards), strip=False, end=True, bottom=True)
    data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(raw.tostring().encode("ascii") + data + bytes(-len(data) % 2880))
    return path


def gzip_members(path: Path, members: int = 1) -> Path:
    """Compress a file beside it, as so many gzip members in a row."""
    data = path.read_bytes()
    step = -(-len(data) // members)
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(b"".join(gzip.compress(data[i : i + step], 1) for i in range(0, len(data), step)))
    return packed


def write_compressed(path: Path, pixels: NDArray[Any], cards: Cards = TAN, **options: Any) -> Path:
    """Store as a tile-compressed image in extension 1; `options` are those of `CompImageHDU`."""
    hdu = fits.CompImageHDU(pixels, header_of(cards), **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def header_text_of(path: Path, hdu: int) -> str:
    """Cards as they stand in the file, with those the extension inherits, without END."""
    with fits.open(path, disable_image_compression=True) as hdus:
        own = hdus[hdu].header
        text = "".join(str(card.image) for card in own.cards)
        if hdu and own.get("INHERIT") and hdus[0].header["NAXIS"] == 0:
            primary = hdus[0].header
            text += "".join(
                card.image for card in primary.cards if not card.keyword or card.keyword not in own
            )
    return text


def record_of(path: Path, hdu: int = 0, artifact_id: int = 1, **changes: Any) -> ImageRecord:
    """Describe one HDU of a file, by astropy alone."""
    stat = path.stat()
    with fits.open(path, disable_image_compression=True) as hdus:
        header, data_offset = hdus[hdu].header, hdus[hdu].fileinfo()["datLoc"]
    ztiles = _ztiles(header, data_offset) if header.get("ZIMAGE") else None
    z = "Z" if ztiles else ""
    shape = tuple(header[f"{z}NAXIS{i}"] for i in range(header[z + "NAXIS"], 0, -1))
    bitpix = header[z + "BITPIX"]
    values: dict[str, Any] = {
        "artifact_id": artifact_id,
        "dataset": f"demo/g/{path.name}",
        "survey": "demo",
        "band": "g",
        "role": "image",
        "file": FileFacts(path.name, stat.st_size, stat.st_mtime_ns),
        "hdu": hdu,
        "extname": header.get("EXTNAME", ""),
        "storage": "tiles" if ztiles else "gzip" if path.suffix == ".gz" else "plain",
        "data_offset": data_offset,
        "shape": shape,
        "x_axis": 0,
        "y_axis": 1,
        "bitpix": bitpix,
        "bscale": float(header.get("BSCALE", 1.0)),
        "bzero": float(header.get("BZERO", 0.0)),
        "blank": header.get("BLANK", header.get("ZBLANK")) if bitpix > 0 else None,
        "wcs_text": "",
        "header_key": artifact_id,
        "em_min_m": None,
        "em_max_m": None,
        "t_min_mjd": None,
        "t_max_mjd": None,
        "pol_states": (),
        "pixel_scale_deg": 7.3e-5,
        "indexed_at": INDEXED,
        "ztiles": ztiles,
    }  # fmt: skip
    return ImageRecord(**values | changes)


def _ztiles(header: fits.Header, table_offset: int) -> ZtileLayout:
    columns, at = {}, 0
    for i in range(1, header["TFIELDS"] + 1):
        form = header[f"TFORM{i}"]
        columns[header[f"TTYPE{i}"]] = (at, form)
        letter = re.sub(r"^\d*", "", form)[0]
        at += {"P": 8, "Q": 16, "D": 8, "E": 4, "J": 4, "K": 8, "I": 2, "B": 1}[letter]
    assert at == header["NAXIS1"]
    names = {header[f"ZNAME{i}"]: header[f"ZVAL{i}"] for i in range(1, 10) if f"ZNAME{i}" in header}
    naxis = header["ZNAXIS"]
    theap = header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
    return ZtileLayout(
        table_offset,
        header["NAXIS1"],
        header["NAXIS2"],
        table_offset + theap,
        columns,
        tuple(header.get(f"ZTILE{i}", header["ZNAXIS1"] if i == 1 else 1) for i in range(naxis, 0, -1)),
        header["ZCMPTYPE"],
        {name: int(value) for name, value in names.items()},
        header.get("ZSCALE"),
        header.get("ZZERO"),
        header.get("ZBLANK"),
        header.get("ZQUANTIZ", "NO_DITHER" if header["ZBITPIX"] < 0 else ""),
        header.get("ZDITHER0", 0),
    )


@dataclass
class FileCatalog:
    """A catalog of some files, as they were when they were added."""

    records: dict[int, ImageRecord] = field(default_factory=dict)
    paths: dict[int, Path] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    overviews: Path | None = None

    def add(self, path: Path, hdu: int = 0, **changes: Any) -> ImageRecord:
        record = record_of(path, hdu, len(self.records) + 1, **changes)
        self.records[record.artifact_id], self.paths[record.artifact_id] = record, path
        self.texts[record.artifact_id] = header_text_of(path, hdu)
        return record

    def accept(self, record: ImageRecord) -> ImageRecord:
        """Take the file, which a test has damaged, for the one that was indexed."""
        stat = self.path(record).stat()
        facts = FileFacts(record.file.path, stat.st_size, stat.st_mtime_ns)
        self.records[record.artifact_id] = replace(record, file=facts)
        return self.records[record.artifact_id]

    def artifact(self, artifact_id: int) -> ImageRecord:
        return self.records[artifact_id]

    def header_text(self, record: ImageRecord) -> str:
        return self.texts[record.artifact_id]

    def path(self, record: ImageRecord) -> Path:
        return self.paths[record.artifact_id]

    def place(self, record: ImageRecord) -> str:
        return str(self.path(record))


def box_request(width: int = 1, height: int = 1, **changes: Any) -> CutoutRequest:
    """A request whose stencil matters only for the header."""
    stencil = CenteredBox(150.1, -2.2, Size(width, height, True))
    fields: dict[str, Any] = {"dataset": "demo/g/tile", "stencil": stencil}
    return CutoutRequest(**fields | changes)


def plan_of(record: ImageRecord, grid: PixelBox | None = None, **changes: Any) -> CutoutPlan:
    """The plan of a box of pixels; None: the whole image."""
    if grid is None:
        grid = PixelBox(0, record.nx, 0, record.ny)
        request = box_request(**{"stencil": None} | changes)
    else:
        request = box_request(grid.width, grid.height, **changes)
    inside = grid.clip(record.nx, record.ny)
    assert inside is not None
    piece = Piece(record.artifact_id, record.dataset, record.file.size, record.file.mtime_ns, inside)
    part = Part(record.band, (piece,), Grid(grid), "copy", grid != inside)
    return CutoutPlan(request, 1, (part,), Cost(0, 0, 0))


def open_product(content: bytes, scaled: bool = False) -> fits.PrimaryHDU:
    """The one HDU of a product, checked as strictly as astropy can; pixels as stored unless `scaled`."""
    with fits.open(BytesIO(content), do_not_scale_image_data=not scaled, checksum=True) as hdus:
        hdus.verify("exception")
        (hdu,) = hdus
        assert hdu.data is not None
        return hdu


def cut(
    catalog: FileCatalog,
    record: ImageRecord,
    grid: PixelBox | None = None,
    source: Source | None = None,
    scaled: bool = False,
    **changes: Any,
) -> fits.PrimaryHDU:
    """Cut a box of pixels and open the product."""
    result = execute(plan_of(record, grid, **changes), catalog, source or Source())
    content = result.tobytes()
    assert len(content) == result.size
    return open_product(content, scaled)


def same_bits(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Whether type, shape and every bit are equal, whatever the byte order."""
    ours, theirs = (a.astype(a.dtype.newbyteorder("=")) for a in (ours, theirs))
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def assert_same_sky(
    product: fits.Header,
    source: fits.Header,
    box: PixelBox,
    key: str = " ",
    axes: tuple[int, int] = (0, 1),
) -> None:
    """Both headers give the pixels of a 5x5 grid the same place, within a milliarcsecond and 1e-6 pixel."""
    naxis = [axis + 1 for axis in axes]
    ours, theirs = (WCS(header, key=key, naxis=naxis) for header in (product, source))
    x, y = np.meshgrid(np.linspace(0, box.width - 1, 5), np.linspace(0, box.height - 1, 5))
    lon, lat = ours.all_pix2world(x, y, 0)
    true_lon, true_lat = theirs.all_pix2world(x + box.x0, y + box.y0, 0)
    on_sky = np.isfinite(true_lon)
    np.testing.assert_array_equal(np.isfinite(lon), on_sky)
    along = (lon - true_lon + 180) % 360 - 180
    scale = np.cos(np.radians((true_lat if theirs.wcs.lat == 1 else true_lon)[on_sky]))
    assert (np.hypot(along[on_sky] * scale, (lat - true_lat)[on_sky]) < 1e-3 / 3600).all()
    back = ours.all_world2pix(true_lon[on_sky], true_lat[on_sky], 0)
    source_pixels = theirs.all_world2pix(true_lon[on_sky], true_lat[on_sky], 0)
    np.testing.assert_allclose(back[0] + box.x0, source_pixels[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(back[1] + box.y0, source_pixels[1], rtol=0, atol=1e-6)
