"""Draws ``docs/demo.png``: the cutout of the demo survey that `make run` shows, and the same place in colour.

Run ``python docs/picture.py`` in the environment of the program. Makes the demo survey in
``var/demo`` if it is not there, and cuts it as the service does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits
from astropy.visualization import AsinhStretch, ImageNormalize
from astropy.wcs import WCS
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from config.database import make_engine, prepare
from config.demo import DEMO, make_demo
from surveys.declaration import read_survey
from surveys.execute import execute
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.planner import Limits, plan_cutout
from surveys.request import CutoutRequest, PictureOptions
from surveys.sky.stencil import Circle

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "var"
PICTURE = REPOSITORY / "docs" / "demo.png"


@dataclass(frozen=True, slots=True)
class Cutout:
    """Pixels and header of a cutout."""

    pixels: NDArray[np.float32]
    header: fits.Header


def cut_demo() -> tuple[Cutout, NDArray[np.uint8]]:
    """Cut the circle to show out of the demo survey: as FITS in one band, and as a colour picture."""
    make_demo(DATA / "demo", workers=os.cpu_count() or 1)
    survey = read_survey(REPOSITORY / "config" / "surveys" / "demo.toml", DATA)
    with TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/index.db")
        prepare(engine)
        index_survey(engine, survey)
        catalog = Catalog(engine, [survey])
        with fits.open(BytesIO(cut(catalog, DEMO.dataset))) as hdus:
            band = Cutout(np.asarray(hdus[0].data, dtype=np.float32), hdus[0].header)
        picture = Image.open(BytesIO(cut(catalog, survey.name, PictureOptions("image/png"))))
        engine.dispose()
    return band, np.asarray(picture.convert("RGB"))[::-1]


def cut(catalog: Catalog, dataset: str, picture: PictureOptions | None = None) -> bytes:
    """Plan and execute the circle on the survey, or one of its bands."""
    request = CutoutRequest(dataset, Circle(DEMO.ra_deg, DEMO.dec_deg, DEMO.radius_deg), picture=picture)
    plan = plan_cutout(request, catalog, Limits(max_pixels=10**6, max_bytes=10**7))
    return execute(plan, catalog, Source()).tobytes()


def draw(shown: Cutout, colours: NDArray[np.uint8]) -> Figure:
    """Draw one band beside the colour picture, both with the axes of the cutout's own WCS."""
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9})
    sky = float(shown.header["SKYSIGMA"])
    grey = ImageNormalize(vmin=-2.5 * sky, vmax=300 * sky, stretch=AsinhStretch(0.012))
    figure, axes = plt.subplots(1, 2, figsize=(10.4, 5.3), subplot_kw={"projection": WCS(shown.header)})
    figure.subplots_adjust(left=0.085, right=0.99, bottom=0.09, top=0.94, wspace=0.03)
    axes[0].imshow(shown.pixels, cmap="gray", norm=grey, interpolation="nearest")
    axes[1].imshow(colours, interpolation="nearest")
    circle = f"CIRCLE={DEMO.ra_deg:g} {DEMO.dec_deg:g} {DEMO.radius_deg:g}"
    axes[0].set_title(f"ID=…?{DEMO.dataset}&{circle}", fontsize=10, family="DejaVu Sans Mono")
    axes[1].set_title("ID=…?demo&…&RESPONSEFORMAT=png", fontsize=10, family="DejaVu Sans Mono")
    for panel in axes:
        panel.tick_params(direction="in", color="white", length=5)
        panel.coords[0].set_major_formatter("hh:mm:ss")
        panel.coords[1].set_major_formatter("dd:mm:ss")
        panel.coords[0].set_ticks(number=4)
        panel.coords[0].set_axislabel("Right ascension (ICRS)", minpad=0.6)
        panel.coords[1].set_axislabel("Declination (ICRS)", minpad=0.3)
    axes[1].coords[1].set_ticklabel_visible(False)
    axes[1].coords[1].set_axislabel("")
    scale_bar(axes[1], 20.0, abs(float(shown.header["CD1_1"])) * 3600)
    return figure


def scale_bar(panel: plt.Axes, length_arcsec: float, pixel_arcsec: float) -> None:
    """Mark a length on the sky in the lower left corner."""
    length = length_arcsec / pixel_arcsec
    panel.plot([22, 22 + length], [22, 22], color="white", linewidth=2, solid_capstyle="butt")
    panel.text(22 + length / 2, 28, f"{length_arcsec:g}″", color="white", ha="center", va="bottom")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG in steps of eight grey levels: noise hides them, and compresses badly otherwise."""
    canvas = BytesIO()
    figure.savefig(canvas, dpi=100)
    levels = np.asarray(Image.open(canvas).convert("RGB")).astype(float)
    Image.fromarray((np.round(levels / 255 * 32) / 32 * 255).astype(np.uint8)).save(path, optimize=True)


def main() -> None:
    """Draw and save the picture."""
    mpl.use("Agg")
    figure = draw(*cut_demo())
    save(figure, PICTURE)
    print(f"{PICTURE.relative_to(REPOSITORY)}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
