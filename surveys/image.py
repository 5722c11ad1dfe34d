"""An indexed image: all the engine knows of one HDU, so that nothing is parsed twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Storage = Literal["plain", "gzip", "tiles"]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as it was when it was indexed.

    `path` is relative to the survey's root and never leaves the engine; `name` is its last part, which may.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str | None = None

    @property
    def name(self) -> str:
        """File name without any folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class ZtileLayout:
    """Where the parts of a tile-compressed image lie (FITS 4.0, section 10).

    The binary table itself is read at request time, only the rows wanted, at these offsets.

    Parameters
    ----------
    table_offset, row_bytes, rows
        Start of the table's rows in the file, width of a row, number of rows (= compression tiles).
    heap_offset
        Start of the heap in the file.
    columns
        ``name -> (byte offset within the row, TFORM)`` of COMPRESSED_DATA, GZIP_COMPRESSED_DATA,
        UNCOMPRESSED_DATA, ZSCALE, ZZERO, ZBLANK where present.
    ztile
        Shape of a compression tile, numpy order.
    method
        ZCMPTYPE: RICE_1, GZIP_1, GZIP_2, PLIO_1, HCOMPRESS_1, NOCOMPRESS.
    parameters
        ZNAMEi = ZVALi pairs (BLOCKSIZE, BYTEPIX, SCALE, SMOOTH) as numbers.
    zscale, zzero, zblank
        Constants from the header where they are not columns.
    quantize
        ZQUANTIZ (NO_DITHER, SUBTRACTIVE_DITHER_1, SUBTRACTIVE_DITHER_2), or "" for integers.
    dither_seed
        ZDITHER0.
    """

    table_offset: int
    row_bytes: int
    rows: int
    heap_offset: int
    columns: dict[str, tuple[int, str]]
    ztile: tuple[int, ...]
    method: str
    parameters: dict[str, int]
    zscale: float | None
    zzero: float | None
    zblank: int | None
    quantize: str
    dither_seed: int


@dataclass(frozen=True, slots=True)
class SideTable:
    """A binary table of the same file that belongs to the axes of an image.

    Parameters
    ----------
    kind
        ``lookup``: coordinates of a -TAB axis (FITS 4.0, section 8.1); ``beams``: the beam of each channel
        and polarization, as CASA writes it; ``bounds``: energies of channels, as OGIP writes EBOUNDS.
    name
        Its EXTNAME.
    version
        Its EXTVER.
    packed
        Header and data, deflated, in base 64: `surveys.cube.tables` opens it.
    """

    kind: Literal["lookup", "beams", "bounds"]
    name: str
    version: int
    packed: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image HDU of one file (an artifact of a dataset).

    Parameters
    ----------
    artifact_id
        Key of the artifact in the index.
    dataset
        What follows ``?`` in the publisher DID: ``survey/band/image``, and ``…/weight`` for other layers.
    survey, band
        Name of the survey, label of the band.
    role
        image, weight, mask or psf.
    file, hdu, extname
        The file, the number of the HDU in it (0 = primary), its EXTNAME or "".
    storage
        ``plain``: pixels lie at `data_offset` of the file; ``gzip``: at `data_offset` of the inflated
        stream; ``tiles``: tile-compressed, see `ztiles`.
    data_offset
        Byte offset of the first pixel (unused for ``tiles``).
    shape
        All axes, numpy order (slowest first).
    x_axis, y_axis
        0-based FITS numbers of the two celestial pixel axes, ``x_axis < y_axis`` (0 and 1 for an image).
        Numpy axis = ``len(shape) - 1 - axis``.
    bitpix, bscale, bzero, blank
        As the header says (defaults 1, 0, None); pixels are kept as stored.
    wcs_text
        The cards of the header that make its WCS (80 characters each, no END), after the survey's `fix`.
    header_key
        Key of the header text in the index; `Catalog.header_text(record)` gives it.
    em_min_m, em_max_m, t_min_mjd, t_max_mjd, pol_states
        Scalar metadata the filters are compared with; None or () when unknown.
    pixel_scale_deg
        Nominal scale of the survey, else the scale at the image's centre.
    indexed_at
        When the index read it (UTC): DATE of every product.
    nodata
        Value of a pixel without data as declared (``nan``, or a number), or None when only BLANK/NaN count.
    tables
        Tables that belong to its axes; a cutout carries them.
    """

    artifact_id: int
    dataset: str
    survey: str
    band: str
    role: str
    file: FileFacts
    hdu: int
    extname: str
    storage: Storage
    data_offset: int
    shape: tuple[int, ...]
    x_axis: int
    y_axis: int
    bitpix: int
    bscale: float
    bzero: float
    blank: int | None
    wcs_text: str
    header_key: int
    em_min_m: float | None
    em_max_m: float | None
    t_min_mjd: float | None
    t_max_mjd: float | None
    pol_states: tuple[str, ...]
    pixel_scale_deg: float
    indexed_at: datetime
    nodata: float | None = None
    ztiles: ZtileLayout | None = None
    tables: tuple[SideTable, ...] = ()

    @property
    def nx(self) -> int:
        """Pixels along the x axis."""
        return self.shape[len(self.shape) - 1 - self.x_axis]

    @property
    def ny(self) -> int:
        """Pixels along the y axis."""
        return self.shape[len(self.shape) - 1 - self.y_axis]
