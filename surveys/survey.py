"""What a survey is: its bands, its layers, and how its files and headers are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from surveys.access import Access
from surveys.errors import UnknownDataset
from surveys.lake import Lake
from surveys.recipe import Recipe
from surveys.template import PathTemplate

Role = Literal["image", "weight", "mask", "psf"]
Kind = Literal["coadd", "exposures", "alerts"]
PixelValue = Literal["flux", "surface-brightness"]
Background = Literal["subtracted", "present"]
WeightMeaning = Literal["invvar", "variance", "stddev", "relative"]
CardValue = str | int | float | bool

#: `Layer.hdu` of a file whose first HDU with pixels is meant, and of one whose every HDU with pixels is.
FIRST_HDU = "first"
ALL_HDUS = "all"


@dataclass(frozen=True, slots=True)
class Zeropoint:
    """AB (or as the survey says) zero point of a pixel of value 1, magnitudes.

    Either `card` of the image's header, or `constant`, to which ``2.5 log10(EXPTIME)`` is added if `exptime`.
    """

    constant: float | None = None
    card: str | None = None
    exptime: bool = False


@dataclass(frozen=True, slots=True)
class Nodata:
    """How a pixel without data is told: by its `value` (NaN or a number), by weight 0, or by mask bits."""

    value: float | None = None
    weight_zero: bool = False
    mask_bits: int = 0


@dataclass(frozen=True, slots=True)
class Band:
    """A photometric band.

    Parameters
    ----------
    label
        Its name in identifiers, such as ``g``.
    em_min_m, em_max_m
        Vacuum wavelength limits, metres.
    words
        What stands for it in file names (or in the card `Survey.band_card`); the label by default.
    zeropoint, pixel_value, background, nodata
        Photometry, None where nothing is declared.
    """

    label: str
    em_min_m: float
    em_max_m: float
    words: tuple[str, ...]
    zeropoint: Zeropoint | None = None
    pixel_value: PixelValue | None = None
    background: Background | None = None
    nodata: Nodata | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of pixels of a tile, and where it is stored.

    Parameters
    ----------
    role
        image, weight, mask or psf.
    path
        Template of its files.
    hdu
        Number, EXTNAME, ``first`` (the first HDU with pixels) or ``all`` (each HDU with pixels is a dataset).
    own_files
        False where it lies in the files of the image.
    weight
        What a weight means.
    bits, good
        Names of the mask's bits (``name -> bit number``), and the mask value of a good pixel.
    """

    role: Role
    path: PathTemplate
    hdu: int | str = FIRST_HDU
    own_files: bool = True
    weight: WeightMeaning | None = None
    bits: Mapping[str, int] = field(default_factory=dict)
    good: int = 0


@dataclass(frozen=True, slots=True)
class UniqueBorder:
    """The area of a tile that no other has is all but a border of so many pixels."""

    pixels: int


@dataclass(frozen=True, slots=True)
class UniqueCards:
    """The unique area lies between RA and Dec limits (ICRS degrees) given by these cards of the header."""

    ra_min: str
    ra_max: str
    dec_min: str
    dec_max: str


@dataclass(frozen=True, slots=True)
class UniqueTable:
    """The unique area is given by a table beside the data.

    Parameters
    ----------
    path
        The table (FITS, ECSV or CSV), relative to the survey's root.
    key, field
        The column `key` equals the `field` of the path template.
    columns
        ``(ra_min, ra_max, dec_min, dec_max)``, ICRS degrees, or one column of STC-S or IVOA region text.
    """

    path: str
    key: str
    field: str
    columns: tuple[str, ...]


Unique = UniqueBorder | UniqueCards | UniqueTable


@dataclass(frozen=True, slots=True)
class Prefer:
    """Between reprocessings of one tile the one whose `field` sorts `highest` or `lowest` is served."""

    field: str
    order: Literal["highest", "lowest"]


@dataclass(frozen=True, slots=True)
class TimeCards:
    """Cards that tell when the data were taken; None leaves the choice to the usual ones."""

    t_min: str | None = None
    t_max: str | None = None
    exptime: str | None = None


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes the survey."""

    name: str = ""
    contact: str = ""
    email: str = ""
    url: str = ""
    licence: str = ""
    bibcode: str = ""
    doi: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """A survey as it is declared.

    Parameters
    ----------
    name
        Its segment in identifiers.
    roots
        Folders that hold its files; nothing outside them is ever opened.
    kind
        ``coadd``: tiles of one sky, a band of which can be cut anywhere; ``exposures``: single images;
        ``alerts``: stamps of alerts, in a lake.
    bands, layers
        In the order declared; the first layer is the image. A survey of alerts has no layers.
    pixel_scale_arcsec
        Nominal, arcsec; None only for exposures.
    dataset
        Template of the image part of identifiers, from the fields of the path; None for the file's stem.
    band_card
        Card that tells the band, where the path does not.
    fix
        Cards added to, or put in the place of, those of the header before anything is read from it.
    linearise
        ``asinh`` where pixels are stored on an asinh scale (BSOFTEN, BOFFSET).
    overviews
        Factors by which images are made smaller when they are indexed, for pictures of much sky; each is a
        multiple of the one before.
    access
        Who may read it.
    recipes
        How its pixels become pictures; of those that suit the bands of a picture the first is the default.
    lake
        Where its alerts are; None of a survey of images.
    """

    name: str
    title: str
    kind: Kind
    roots: tuple[Path, ...]
    bands: tuple[Band, ...]
    layers: tuple[Layer, ...]
    pixel_scale_arcsec: float | None = None
    description: str = ""
    credit: str = ""
    publisher: Publisher = Publisher()
    obs_collection: str = ""
    facility_name: str = ""
    instrument_name: str = ""
    calib_level: int = 3
    dataset: PathTemplate | None = None
    band_card: str | None = None
    unique: Unique | None = None
    prefer: Prefer | None = None
    fix: Mapping[str, CardValue] = field(default_factory=dict)
    linearise: Literal["asinh"] | None = None
    time: TimeCards = TimeCards()
    pol_states: tuple[str, ...] = ()
    overviews: tuple[int, ...] = ()
    # Not part of what pixels depend on, which goes by this text.
    access: Access = field(default=Access(), repr=False)
    recipes: tuple[Recipe, ...] = ()
    lake: Lake | None = None

    @property
    def is_public(self) -> bool:
        """Whether everybody may read all of it, for good."""
        return self.access.is_public

    @property
    def pixel_scale_deg(self) -> float | None:
        """Nominal pixel scale, degrees."""
        return None if self.pixel_scale_arcsec is None else self.pixel_scale_arcsec / 3600

    @property
    def image(self) -> Layer:
        """The layer of the images themselves."""
        return self.layers[0]

    def band(self, label: str) -> Band:
        """Band of this label; as in every identifier, case does not matter.

        Raises
        ------
        UnknownDataset
            If there is none.
        """
        for band in self.bands:
            if band.label.lower() == label.lower():
                return band
        known = ", ".join(band.label for band in self.bands)
        raise UnknownDataset(f"{self.name} has no band {label!r}; it has {known}")

    def layer(self, role: Role) -> Layer | None:
        """Layer of this role, None where there is none."""
        return next((layer for layer in self.layers if layer.role == role), None)
