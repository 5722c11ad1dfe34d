from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from surveys.declaration import parse_survey
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.survey import Survey
from tests.support.databases import sqlite
from tests.support.layouts import write
from tests.surveys.planning.skies import N, bands, on_grid, own, sampled, write_tiles, written

IMAGE = {"image": {"path": "{tile}_{band}.fits"}}
WEIGHED = IMAGE | {
    "weight": {"path": "{tile}_{band}.weight", "meaning": "invvar"},
    "mask": {"path": "{tile}_{band}.mask", "bits": {"bad": 0}},
}


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    root = tmp_path_factory.mktemp("planning")
    declared: dict[str, dict[str, object]] = {}
    for name, tiles in written().items():
        labels = "gri" if name in ("grid", "own") else "g"
        write_tiles(root / name, tiles, labels)
        scale = 3600.0 if name == "map" else 1.0
        declared[name] = {"kind": "coadd", "pixel_scale": scale, "bands": bands(labels), "layers": IMAGE}
    near = {"a": on_grid(0, 0), "b": on_grid(60, 0), "c": on_grid(120, 0)}

    def photometric(name: str, zeropoints: list[float | None], keyword: str = "MAGZP", **how: object) -> None:
        for (tile, cards), zeropoint in zip(near.items(), zeropoints, strict=True):
            told = {} if zeropoint is None else {keyword: zeropoint}
            write(root / name / f"{tile}_g.fits", ("", cards | told, sampled(cards)))
        declared[name] = {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("g", **how), "layers": IMAGE}

    card = {"zeropoint": {"card": "MAGZP"}}
    photometric("zp", [25.0, 27.5, 25.0], **card)
    photometric("zpgap", [25.0, None, 25.0], **card)
    photometric("zpnone", [None, None, None], **card)
    photometric("zpcards", [25.0, 25.1, 25.0])
    photometric("zpsame", [25.0, 25.0, 25.0])
    photometric("zpsome", [25.0, None, 25.0])
    photometric("zpexp", [10.0, 100.0, 10.0], "EXPTIME", zeropoint={"constant": 25.0, "exptime": True})
    photometric("zpconst", [1.0, 2.0, 3.0], zeropoint=22.5)

    for name, unique in (("bordered", {"border": 10}), ("limited", limits())):
        for number, (tile, cards) in enumerate(near.items()):
            own_part = {"RALO": 10.0 + number, "RAHI": 10.5 + number, "DELO": 19.0, "DEHI": 21.0}
            write(root / name / f"{tile}_g.fits", ("", cards | own_part, sampled(cards)))
        declared[name] = {
            "kind": "coadd", "pixel_scale": 1.0, "bands": bands("g"), "layers": IMAGE, "unique": unique,
        }  # fmt: skip

    for tile, cards in near.items():
        write(root / "weighed" / f"{tile}_g.fits", ("", cards, sampled(cards)))
        write(root / "weighed" / f"{tile}_g.mask", ("", cards, np.zeros((N, N), "i4")))
        if tile != "c":
            write(root / "weighed" / f"{tile}_g.weight", ("", cards, np.ones((N, N), "f4")))
    declared["weighed"] = {
        "kind": "coadd", "pixel_scale": 1.0, "bands": bands("g", nodata={"weight": 0}), "layers": WEIGHED,
    }  # fmt: skip

    for night, mjd, zeropoint in (("one", 59000.0, 29.9), ("two", 59001.0, 30.5), ("three", 59002.0, None)):
        cards = own(100, 5, 2.0 * (mjd - 59000)) | {"MJD-OBS": mjd, "EXPTIME": 90.0}
        cards |= {} if zeropoint is None else {"MAGZERO": zeropoint}
        write(root / "nights" / f"{night}_g.fits", ("", cards, sampled(cards)))
    declared["nights"] = {"kind": "exposures", "bands": bands("g"), "layers": IMAGE}

    for tile, cards in near.items():
        write(root / "cubes" / f"{tile}_g.fits", ("", cards, np.zeros((3, N, N), "f4")))
    declared["cubes"] = {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("g"), "layers": IMAGE}

    for tile, shift in (("t0", 0.0), ("t1", 60.0)):
        for label, offset in (("g", 0.0), ("r", 0.5)):
            cards = on_grid(0, 0) | {"CRPIX1": 70.5 - shift + offset}
            write(root / "shifted" / f"{tile}_{label}.fits", ("", cards, sampled(cards)))
    declared["shifted"] = {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("gr"), "layers": IMAGE}

    write_tiles(root / "many", {"t": on_grid(0, 0)}, "ugri")
    declared["many"] = {"kind": "coadd", "pixel_scale": 1.0, "bands": bands("ugri"), "layers": IMAGE}

    surveys: list[Survey] = []
    with sqlite(root) as engine:
        for name, content in declared.items():
            content = {"title": name, "root": name, "dataset": "{tile}"} | content
            surveys.append(parse_survey(content, f"{name}.toml", name, root))
            assert index_survey(engine, surveys[-1]).refused == ()
        yield Catalog(engine, surveys)


def limits() -> dict[str, str]:
    return {"ra_min": "RALO", "ra_max": "RAHI", "dec_min": "DELO", "dec_max": "DEHI"}
