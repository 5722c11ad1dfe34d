"""Known skies, cut into tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from surveys.fits.source import Source
from surveys.image import ImageRecord
from surveys.mosaic.compose import Composed, compose
from surveys.plan import Companion, Grid, Method, Part, Piece
from surveys.request import CutoutRequest, MosaicOptions
from surveys.sky.pixels import PixelBox
from surveys.survey import Band, Layer, Survey
from surveys.template import PathTemplate
from tests.support.tiles import FileCatalog, write_plain

SCALE = 7.3e-5
Floats = NDArray[np.float64]
Sky = Callable[[Floats, Floats], Floats]


def tan(
    ra: float = 150.0, dec: float = 2.0, size: tuple[int, int] = (200, 200), **changes: Any
) -> dict[str, Any]:
    """Cards of a TAN image whose tangent point is its centre; `scale` and `angle` (degrees) as wanted."""
    scale, angle = changes.pop("scale", SCALE), np.radians(changes.pop("angle", 0.0))
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRPIX1": (size[0] + 1) / 2, "CRPIX2": (size[1] + 1) / 2, "CRVAL1": ra, "CRVAL2": dec,
        "CD1_1": -scale * np.cos(angle), "CD1_2": scale * np.sin(angle),
        "CD2_1": scale * np.sin(angle), "CD2_2": scale * np.cos(angle), "RADESYS": "ICRS",
    }  # fmt: skip
    return cards | changes


def moved(cards: Mapping[str, Any], x: float, y: float) -> dict[str, Any]:
    """Cards of an image on the same grid whose first pixel is the pixel ``(x, y)`` of the other."""
    return dict(cards) | {"CRPIX1": cards["CRPIX1"] - x, "CRPIX2": cards["CRPIX2"] - y}


def text_of(cards: Mapping[str, Any]) -> str:
    return "".join(str(fits.Card(key, value)) for key, value in cards.items())


def wcs_of_cards(cards: Mapping[str, Any]) -> WCS:
    return WCS(fits.Header(cards.items()))


def sampled(sky: Sky, cards: Mapping[str, Any], size: tuple[int, int]) -> Floats:
    """A sky (a function of RA and Dec, degrees) at the pixel centres of an image."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return sky(*wcs_of_cards(cards).all_pix2world(x, y, 0))


def survey_of(band: Band | None = None, **changes: Any) -> Survey:
    band = band or Band("g", 4e-7, 5.5e-7, ("g",))
    layers = (Layer("image", PathTemplate("{x}.fits")),)
    fields: dict[str, Any] = {
        "name": "demo", "title": "", "kind": "coadd", "roots": (), "bands": (band,), "layers": layers,
        "pixel_scale_arcsec": SCALE * 3600,
    }  # fmt: skip
    return Survey(**fields | changes)


@dataclass
class SkyCatalog(FileCatalog):
    """A catalog of tiles of one survey."""

    root: Path = Path()
    declared: Survey = field(default_factory=survey_of)
    pieces: list[Piece] = field(default_factory=list)

    def survey(self, name: str) -> Survey:
        return self.declared

    def generation(self, survey: str) -> int:
        return 1

    def record(self, dataset: str, generation: int) -> ImageRecord:
        return next(record for record in self.records.values() if record.dataset == dataset)

    def tile(
        self,
        pixels: NDArray[Any],
        cards: Mapping[str, Any],
        layers: Mapping[str, NDArray[Any]] | None = None,
        **changes: Any,
    ) -> Piece:
        """Store a tile, and its layers, and return a piece of all of it."""
        name = f"t{len(self.records)}"
        companions = []
        for role, plane in (layers or {}).items():
            path = write_plain(self.root / f"{name}-{role}.fits", plane, cards.items())
            dataset = f"demo/g/{name}/{role}"
            layer = self.add(path, wcs_text=text_of(cards), dataset=dataset, role=role)
            companions.append(Companion(role, dataset, layer.file.size, layer.file.mtime_ns))  # type: ignore[arg-type]
        path = write_plain(self.root / f"{name}.fits", pixels, cards.items())
        wcs = wcs_of_cards(cards).celestial
        scale = float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))
        fields = {"wcs_text": text_of(cards), "dataset": f"demo/g/{name}", "pixel_scale_deg": scale}
        own = {key: changes.pop(key) for key in ("scale", "unique") if key in changes}
        record = self.add(path, **fields | changes)
        box = PixelBox(0, record.nx, 0, record.ny)
        piece = Piece(record.artifact_id, record.dataset, record.file.size, record.file.mtime_ns, box)
        piece = replace(piece, companions=tuple(companions), **own)
        self.pieces.append(piece)
        return piece


def part_of(catalog: SkyCatalog, box: PixelBox, method: Method = "resample", wcs_text: str = "") -> Part:
    return Part("g", tuple(catalog.pieces), Grid(box, wcs_text), method)


def composed(
    catalog: SkyCatalog,
    box: PixelBox,
    method: Method = "resample",
    wcs_text: str = "",
    layers: tuple[str, ...] = ("image",),
    threads: int = 1,
    request: CutoutRequest | None = None,
    **options: Any,
) -> Composed:
    request = request or CutoutRequest("demo/g", mosaic=MosaicOptions(**options))
    means = request.picture is not None
    return compose(
        part_of(catalog, box, method, wcs_text), request, catalog, Source(), threads, layers, means=means
    )
