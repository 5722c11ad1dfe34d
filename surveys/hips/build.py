"""Building a HiPS: deepest tiles, the orders above them, pictures, and what describes them.

Every tile has a key that tells what it was made of. An interrupted build goes on where it was, and after
another indexing only those tiles are made anew that images have changed of; neither needs to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sqlalchemy import Engine

from surveys.errors import RequestFault
from surveys.hips.deepest import HipsBand, common_zeropoint
from surveys.hips.finish import allsky_pixels, centre_of, moc_of, size_of
from surveys.hips.folder import HipsFolder
from surveys.hips.geometry import (
    ALLSKY_ORDER,
    DEEPEST_ORDER,
    TILE_PATH,
    Integers,
    order_for,
    parents_of,
    tile_path,
)
from surveys.hips.making import Deepest, Job, Makers, Opener, Outcome, Painted, Parent, Places
from surveys.hips.properties import HipsFacts, read_properties, write_properties
from surveys.hips.shades import Shades, look_of_colours, shades_of_band, shades_of_colours
from surveys.hips.tiles import Image, encode_allsky, joined_range, read_fits, write_whole
from surveys.index.catalog import Catalog
from surveys.index.coverage import coverage
from surveys.index.extent import read_extent
from surveys.survey import Survey

Progress = Callable[[int, int], None]

#: Tiles whose pixels decide levels, and how many of the pixels along a side.
_SAMPLE_TILES, _SAMPLE_STEP = 64, 8
_ALLSKY = f"Norder{ALLSKY_ORDER}/Allsky"
_OTHERS = frozenset({f"{_ALLSKY}.fits", f"{_ALLSKY}.png", "Moc.fits"})


@dataclass(frozen=True, slots=True)
class HipsReport:
    """What a build did.

    Parameters
    ----------
    folder
        What is served now.
    order
        Of the deepest tiles.
    tiles
        Tiles there are, pictures beside FITS counted.
    made
        Those of them that were not there before.
    """

    folder: Path
    order: int
    tiles: int
    made: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HipsBuild:
    """Everything a build needs.

    Parameters
    ----------
    root
        Folder of all HiPS.
    engine, catalog
        The image index.
    opener
        Opens both, and the files, in processes of their own.
    did
        Makes an identifier of a dataset.
    builder
        Name and version of the program.
    workers
        Processes.
    progress
        Called with the number of tiles that are done and of all.
    """

    root: Path
    engine: Engine
    catalog: Catalog
    opener: Opener
    did: Callable[[str], str]
    builder: str
    workers: int = 1
    progress: Progress = field(default=lambda done, total: None)


def build_band(
    build: HipsBuild,
    survey: Survey,
    label: str,
    order: int | None = None,
    photscale: Literal["auto", "none"] = "auto",
) -> HipsReport:
    """Build the HiPS of a survey band, FITS and PNG, and publish it.

    Parameters
    ----------
    order
        Of the deepest tiles; None for the first whose pixels are no larger than the survey's.
    photscale
        ``none`` takes pixels as they are, whatever the zero points of their images.

    Raises
    ------
    UnknownDataset
        If the survey has no such band.
    RequestFault
        If there is nothing to build, or images cannot be put together.
    SurveyError
        If an image cannot be read, or another process builds the same.
    """
    band = survey.band(label)
    generation = build.catalog.generation(survey.name)
    order = _checked_order(order, survey, build.catalog, generation)
    zeropoint = (
        common_zeropoint(survey, band.label, generation, build.catalog) if photscale == "auto" else None
    )
    hips = HipsBand(survey.name, band.label, generation, order, photscale, zeropoint)
    cells = _cells(build.engine, hips)
    folder = HipsFolder(build.root, survey.name, band.label)
    with folder.hold(), Makers(build.workers, build.opener) as makers:
        places = Places(folder.work, folder.published)
        steps = _Steps(makers, build.progress, len(cells))
        deepest = steps.run(Deepest(places, hips, int(tile)) for tile in cells)
        if not deepest.size:
            raise RequestFault(f"no image of {hips.dataset} has a pixel with data")
        levels = {order: deepest}
        folder.sweep(partial(_belongs, levels=levels), f"Norder{order}")
        for above in range(order - 1, -1, -1):
            levels[above] = parents_of(levels[above + 1])
            steps.expect(len(levels[above]))
            steps.run(Parent(places, hips, above, int(tile)) for tile in levels[above])
            folder.sweep(partial(_belongs, levels=levels), f"Norder{above}")
        sample = _sample(folder.work, order, deepest)
        shades = shades_of_band(survey, band.label, sample, zeropoint)
        (allsky,) = _paint(steps, places, shades, (folder.work,), levels)
        write_whole(folder.work / f"{_ALLSKY}.fits", encode_allsky(allsky, ALLSKY_ORDER))
        facts = HipsFacts(
            creator_did=build.did(hips.dataset),
            title=f"{survey.title}, {band.label}",
            bands=(band.label,),
            formats=("png", "fits"),
            cuts=shades.cuts,
            data_range=steps.range,
            processing=f"pictures: {shades.cite()}",
            **_common(build, folder, survey, levels),
        )
        return _finish(folder, survey, facts, steps)


def build_colours(build: HipsBuild, survey: Survey, recipe: str) -> HipsReport:
    """Build a HiPS in colour, PNG alone, out of those of its three bands, and publish it.

    Raises
    ------
    RequestFault
        If the survey has no such recipe, or the HiPS of a band is not there.
    """
    look = look_of_colours(survey, recipe)
    name = colour_name(look.recipe.name)
    if any(band.label.lower() == name.lower() for band in survey.bands):
        raise RequestFault(f"{survey.name} has a band {name}, as the HiPS of this recipe would be called")
    generation = build.catalog.generation(survey.name)
    sources = tuple(HipsFolder(build.root, survey.name, label).published.resolve() for label in look.bands)
    order = _common_order(survey, look.bands, sources)
    folder = HipsFolder(build.root, survey.name, name)
    every = [_tiles_in(source, order) for source in sources]
    levels = {order: np.unique(np.concatenate(every))}
    for above in range(order - 1, -1, -1):
        levels[above] = parents_of(levels[above + 1])
    zeropoints = [common_zeropoint(survey, label, generation, build.catalog) for label in look.bands]
    with folder.hold(), Makers(build.workers, build.opener) as makers:
        samples = [_sample(source, order, tiles) for source, tiles in zip(sources, every, strict=True)]
        shades = shades_of_colours(look, samples, zeropoints)
        steps = _Steps(makers, build.progress, 0)
        _paint(steps, Places(folder.work, folder.published), shades, sources, levels)
        facts = HipsFacts(
            creator_did=build.did(f"{survey.name}/{name}"),
            title=f"{survey.title}, {' '.join(look.bands)} in colour",
            bands=look.bands,
            formats=("png",),
            processing=f"pictures: {shades.cite()}",
            **_common(build, folder, survey, levels),
        )
        return _finish(folder, survey, facts, steps)


def colour_name(recipe: str) -> str:
    """Name of the HiPS in the colours of a recipe, where those of bands have their labels."""
    return f"color-{recipe}"


class _Steps:
    """Counts what is done, for the bar; how much there is to do shows by and by."""

    def __init__(self, makers: Makers, progress: Progress, total: int) -> None:
        self._makers = makers
        self._progress = progress
        self._done = 0
        self._total = total
        self._ranges: list[tuple[float, float]] = []
        self.made = 0

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest of all pixels."""
        return self._ranges[0]

    def expect(self, tiles: int) -> None:
        self._total += tiles

    def run(self, jobs: Iterator[Job]) -> Integers:
        """Have tiles made; give those that are there, in order."""
        there: list[int] = []
        for outcome in self._makers.run(jobs):
            self._count(outcome)
            if outcome.state != "empty":
                there.append(outcome.tile)
        return np.sort(np.array(there, dtype=np.int64))

    def _count(self, outcome: Outcome) -> None:
        self._done += 1
        self.made += outcome.state == "made"
        self._ranges = [joined_range([*self._ranges, (outcome.low, outcome.high)])]
        self._progress(self._done, self._total)


def _checked_order(order: int | None, survey: Survey, catalog: Catalog, generation: int) -> int:
    if generation == 0:
        raise RequestFault(f"{survey.name} is not indexed yet: fountain survey index {survey.name}")
    if order is None:
        scale = (
            survey.pixel_scale_deg
            or catalog.record(catalog.datasets(survey.name, generation)[0], generation).pixel_scale_deg
        )
        return order_for(scale)
    if not ALLSKY_ORDER <= order <= DEEPEST_ORDER:
        raise RequestFault(f"the order is a number from {ALLSKY_ORDER} to {DEEPEST_ORDER}; got {order}")
    return order


def _cells(engine: Engine, hips: HipsBand) -> Integers:
    """Tiles that some footprint reaches."""
    moc = coverage(engine, hips.survey, [hips.band], hips.generation)
    if moc.empty():
        raise RequestFault(f"{hips.dataset} has no images")
    deep = moc.degrade_to_order(hips.order) if moc.max_order > hips.order else moc.refine_to_order(hips.order)
    return np.sort(deep.flatten().astype(np.int64))


def _paint(
    steps: _Steps,
    places: Places,
    shades: Shades,
    sources: tuple[Path, ...],
    levels: Mapping[int, Integers],
) -> list[Image]:
    """Make the pictures of all tiles, and that of the whole sky; give the pixels of that."""
    steps.expect(sum(len(tiles) for tiles in levels.values()))
    for order, tiles in levels.items():
        steps.run(Painted(places, shades, sources, order, int(tile)) for tile in tiles)
    allsky = [allsky_pixels(source, levels[ALLSKY_ORDER]) for source in sources]
    write_whole(places.work / f"{_ALLSKY}.png", shades.png(allsky))
    return allsky


def _common(
    build: HipsBuild, folder: HipsFolder, survey: Survey, levels: Mapping[int, Integers]
) -> dict[str, Any]:
    """Facts that all HiPS have."""
    order = max(levels)
    moc = moc_of(levels[order], order)
    moc_hdus = moc.serialize("fits", v1_compatible=True)
    content = BytesIO()
    moc_hdus.writeto(content)
    write_whole(folder.work / "Moc.fits", content.getvalue())
    folder.sweep(partial(_belongs, levels=levels))
    now = datetime.now(UTC)
    tiles, size = size_of(folder.work)
    return {
        "order": order,
        "released": now,
        "created": _created(folder) or now,
        "builder": build.builder,
        "tiles": tiles,
        "kilobytes": -(-size // 1024),
        "sky_fraction": moc.sky_fraction,
        "centre": centre_of(levels[order], order),
        "times_mjd": read_extent(build.engine, survey.name).time_mjd,
    }


def _finish(folder: HipsFolder, survey: Survey, facts: HipsFacts, steps: _Steps) -> HipsReport:
    write_whole(folder.work / "properties", write_properties(facts, survey).encode())
    folder.publish()
    return HipsReport(folder.published, facts.order, facts.tiles, steps.made)


def _created(folder: HipsFolder) -> datetime | None:
    """When the first edition was made, None if this is it."""
    try:
        text = (folder.published / "properties").read_text(encoding="utf-8")
        told = read_properties(text)["hips_creation_date"]
        return datetime.strptime(told, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except (FileNotFoundError, KeyError, ValueError):
        return None


def _belongs(path: str, levels: Mapping[int, Integers]) -> bool:
    """Whether a file below the work is one of what was made now, and not left by an earlier build."""
    found = TILE_PATH.fullmatch(path)
    if found is None:
        return path in _OTHERS
    order, tile = int(found["order"]), int(found["tile"])
    tiles = levels.get(order)
    if tiles is None or path != tile_path(order, tile, found["extension"]):
        return False
    at = int(np.searchsorted(tiles, tile))
    return at < len(tiles) and int(tiles[at]) == tile


def _sample(folder: Path, order: int, tiles: Integers) -> Image:
    """Take some pixels of some tiles, evenly from all."""
    chosen = tiles[:: max(1, len(tiles) // _SAMPLE_TILES)][:_SAMPLE_TILES]
    step = slice(_SAMPLE_STEP // 2, None, _SAMPLE_STEP)
    return np.concatenate(
        [read_fits(folder / tile_path(order, int(tile), "fits"))[step, step] for tile in chosen]
    )


def _common_order(survey: Survey, bands: Sequence[str], sources: Sequence[Path]) -> int:
    """Order of the HiPS of some bands, which must be the same."""
    orders = {}
    for label, source in zip(bands, sources, strict=True):
        try:
            properties = read_properties((source / "properties").read_text(encoding="utf-8"))
        except FileNotFoundError as missing:
            raise RequestFault(
                f"colours are made of the HiPS of {', '.join(bands)}, and that of {label} is not there: "
                f"fountain survey hips {survey.name} {label}"
            ) from missing
        orders[label] = int(properties["hips_order"])
    if len(set(orders.values())) > 1:
        told = ", ".join(f"{label} {order}" for label, order in orders.items())
        raise RequestFault(
            f"the HiPS of the bands have different orders ({told}): build them with one --order"
        )
    return orders[bands[0]]


def _tiles_in(folder: Path, order: int) -> Integers:
    """Numbers of the FITS tiles of an order."""
    found = (path.stem.removeprefix("Npix") for path in folder.glob(f"Norder{order}/Dir*/Npix*.fits"))
    return np.sort(np.array([int(number) for number in found], dtype=np.int64))
