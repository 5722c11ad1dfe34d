"""HiPS and coverages: where they are kept, how they are built, and how they are found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from config.database import make_engine
from config.settings import DataSettings, Settings
from hips.service import STANDARD_ID, HipsService
from surveys.fits.source import Source
from surveys.index.catalog import Catalog
from surveys.index.coverage import Coverages
from vosi.capabilities import Capability, Interface

if TYPE_CHECKING:
    from config.app import Parts
    from surveys.hips.build import HipsReport
    from surveys.survey import Survey


def make_hips(settings: Settings, parts: Parts) -> HipsService:
    """Make the service of what is built."""
    coverages = Coverages(parts.engine, parts.catalog, settings.data.path / "moc")
    return HipsService(settings.data.hips, parts.catalog, coverages, parts.rights.reader)


def hips_capability() -> Capability:
    """List of all HiPS, by which they are registered (HiPS 1.0, section 5.3)."""
    return Capability(STANDARD_ID, (Interface("hips/hipslist", version="1.0", result_type="text/plain"),))


def build_hips(
    settings: Settings,
    survey: Survey,
    band: str | None,
    recipe: str | None,
    order: int | None,
    photscale: str,
    workers: int,
    progress: Callable[[int, int], None],
) -> HipsReport:
    """Build the HiPS of a band, or that in the colours of a recipe.

    Raises
    ------
    SurveyError
        If it cannot be built.
    """
    from config.app import assemble
    from surveys.hips.build import HipsBuild, build_band, build_colours

    parts = assemble(settings)
    build = HipsBuild(
        root=settings.data.hips,
        engine=parts.engine,
        catalog=parts.catalog,
        opener=partial(open_images, settings.data, parts.surveys),
        did=parts.identifiers.did,
        builder=f"Soda Fountain {version('sodafountain')}",
        workers=workers,
        progress=progress,
    )
    try:
        if recipe is not None:
            return build_colours(build, survey, recipe)
        return build_band(build, survey, band or "", order, "none" if photscale == "none" else "auto")
    finally:
        parts.engine.dispose()


def open_images(data: DataSettings, surveys: tuple[Survey, ...]) -> tuple[Catalog, Source]:
    """Open what a process that makes tiles reads: the image index, and the files."""
    return Catalog(make_engine(data.engine_url), surveys, overviews=data.overviews), Source(data.read)
