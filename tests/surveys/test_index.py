"""The index follows the files, and a reader never sees half of a change."""

from __future__ import annotations

import gzip
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy import Engine, func, select

from surveys.declaration import parse_survey
from surveys.errors import BrokenImage, DeclarationError, ImageRefused, SurveyError, UnknownDataset
from surveys.index.catalog import Catalog
from surveys.index.files import FoundFile, Match, Walk
from surveys.index.ingest import index_survey, scan_files
from surveys.index.report import IndexReport
from surveys.index.store import purge
from surveys.index.tables import ArtifactRow, CellRow, DatasetRow, FileRow, HeaderRow
from surveys.survey import Survey
from tests.support.databases import sqlite
from tests.support.layouts import pixels, tan_cards, write


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Engine]:
    with sqlite(tmp_path) as made:
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def survey_of(*roots: Path, **changes: Any) -> Survey:
    content = {
        "title": "Tiles",
        "kind": "coadd",
        "pixel_scale": 1.0,
        "root": [str(root) for root in roots],
        "bands": {"g": {"em_min_m": 4e-7, "em_max_m": 5e-7}},
        "layers": {"image": {"path": "**/*.fits*"}},
    }
    return parse_survey(content | changes, "tiles.toml", "tiles", roots[0])


def tile(path: Path, ra: float = 10.0, dec: float = 20.0) -> Path:
    return write(path, ("", tan_cards(ra, dec, 1.0), pixels()))


def names(catalog: Catalog) -> set[str]:
    """Image parts of all identifiers that are read now."""
    generation = catalog.generation("tiles")
    return {key.rpartition("/")[2] for key in catalog.datasets("tiles", generation)}


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.vanished, report.unchanged


def reasons(report: IndexReport) -> dict[str, str]:
    return {refusal.name: refusal.reason for refusal in report.refused}


def test_a_generation_is_kept_for_the_time_asked_for_and_no_longer(engine: Engine, root: Path) -> None:
    survey = survey_of(root)
    asking, keeping = Catalog(engine, [survey]), Catalog(engine, [survey], kept_s=1e6)
    assert keeping.generation("tiles") == 0
    for number, name in enumerate(("one", "two"), start=1):
        tile(root / f"{name}.fits")
        index_survey(engine, survey)
        assert asking.generation("tiles") == number
        # That there is no index yet is never kept.
        assert keeping.generation("tiles") == 1
    assert names(asking) == {"one", "two"}
    assert names(keeping) == {"one"}
    keeping.refresh()
    assert names(keeping) == {"one", "two"}


def test_a_second_run_touches_nothing(engine: Engine, root: Path) -> None:
    for name in "abc":
        tile(root / f"{name}.fits")
    survey = survey_of(root)
    first = index_survey(engine, survey)
    assert (first.generation, counts(first)) == (1, (3, 0, 0, 0))
    before = _rows(engine)
    second = index_survey(engine, survey)
    assert (second.generation, counts(second)) == (1, (0, 0, 0, 3))
    assert _rows(engine) == before


def test_changed_vanished_moved_and_new_files(engine: Engine, root: Path) -> None:
    for name in "abcd":
        tile(root / f"{name}.fits")
    survey = survey_of(root)
    index_survey(engine, survey)
    catalog = Catalog(engine, [survey])
    old = {name: catalog.record(f"tiles/g/{name}", 1) for name in "abcd"}

    (root / "a.fits").unlink()
    (root / "b.fits").unlink()
    tile(root / "b.fits", ra=30.0)
    (root / "deep").mkdir()
    (root / "c.fits").rename(root / "deep" / "c.fits")
    tile(root / "e.fits")
    report = index_survey(engine, survey)

    assert (report.generation, counts(report)) == (2, (2, 1, 2, 1))
    assert names(catalog) == set("bcde")
    new = {name: catalog.record(f"tiles/g/{name}", 2) for name in "bcde"}
    assert new["c"].file.path == "deep/c.fits"
    assert "CRVAL1  =                 30.0" in new["b"].wcs_text
    assert new["d"] == old["d"]
    with pytest.raises(UnknownDataset, match="there is no image 'tiles/g/a'"):
        catalog.record("tiles/g/a", 2)
    # Who read the pointer before still sees what it pointed at, and plans made then still find their image.
    assert {catalog.record(f"TILES/g/{name}", 1).file.path for name in "abcd"} == {
        f"{n}.fits" for n in "abcd"
    }
    assert Catalog(engine, [survey]).artifact(old["a"].artifact_id) == old["a"]


def test_a_reader_sees_the_old_index_until_the_new_one_is_whole(engine: Engine, root: Path) -> None:
    survey = survey_of(root)
    for name in "abc":
        tile(root / f"{name}.fits")
    index_survey(engine, survey)
    catalog = Catalog(engine, [survey])
    shutil.rmtree(root)
    for name in "defg":
        tile(root / f"{name}.fits")

    seen: list[frozenset[str]] = []
    half_way: list[set[str]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(frozenset(names(catalog)))

    reader = threading.Thread(target=read)
    reader.start()
    index_survey(engine, survey, progress=lambda *_: half_way.append(names(catalog)))
    done.set()
    reader.join()
    # When all was written and nothing published, nothing could be seen of it.
    assert half_way == [set("abc")]
    assert names(catalog) == set("defg")
    assert set(seen) <= {frozenset("abc"), frozenset("defg")}


def test_what_a_run_that_died_left_behind_is_cleared_away(engine: Engine, root: Path) -> None:
    survey = survey_of(root)
    tile(root / "a.fits")
    tile(root / "b.fits")
    index_survey(engine, survey)
    before = _rows(engine)
    (root / "a.fits").unlink()
    (root / "b.fits").unlink()
    tile(root / "b.fits", ra=30.0)
    tile(root / "c.fits")

    with pytest.raises(KeyboardInterrupt):
        index_survey(engine, survey, progress=_interrupt)
    catalog = Catalog(engine, [survey])
    assert names(catalog) == set("ab")
    assert _rows(engine) != before
    report = index_survey(engine, survey)
    assert (report.generation, counts(report)) == (2, (1, 1, 1, 0))
    assert names(catalog) == set("bc")


def test_two_indexers_at_once_are_refused(engine: Engine, root: Path) -> None:
    survey, other = survey_of(root), replace(survey_of(root), name="other")
    tile(root / "a.fits")
    refused: list[str] = []

    def index_again(*_: int) -> None:
        index_survey(engine, other)
        with pytest.raises(SurveyError, match="tiles is being indexed already") as error:
            index_survey(engine, survey)
        refused.append(str(error.value))

    index_survey(engine, survey, progress=index_again)
    assert refused
    index_survey(engine, survey)


def test_one_new_file(engine: Engine, root: Path, tmp_path: Path) -> None:
    survey = survey_of(root)
    tile(root / "a.fits")
    index_survey(engine, survey)
    tile(root / "b.fits")
    tile(root / "c.fits")
    (root / "a.fits").unlink()
    report = index_survey(engine, survey, only_file=root / "b.fits")
    catalog = Catalog(engine, [survey])
    assert counts(report) == (1, 0, 0, 1)
    assert names(catalog) == set("ab")
    index_survey(engine, survey, only_file=Path("c.fits"))
    assert names(catalog) == set("abc")
    (root / "x.txt").touch()
    with pytest.raises(ImageRefused, match=r"x\.txt fits no path template"):
        index_survey(engine, survey, only_file=root / "x.txt")
    with pytest.raises(ImageRefused, match=r"d\.fits is not in the folders"):
        index_survey(engine, survey, only_file=tile(tmp_path / "d.fits"))


def test_old_generations_go_when_their_time_has_come(engine: Engine, root: Path) -> None:
    survey = survey_of(root)
    tile(root / "a.fits")
    tile(root / "b.fits")
    index_survey(engine, survey)
    (root / "a.fits").unlink()
    index_survey(engine, survey)
    writing = engine.execution_options(writes=True)
    now = datetime.now(UTC)
    purge(writing, 1, now - timedelta(hours=24))
    assert len(_rows(engine)[0]) == 2
    purge(writing, 1, now + timedelta(hours=1))
    files, datasets, artifacts, cells, headers = _rows(engine)
    assert (len(files), len(datasets), len(artifacts), headers) == (1, 1, 1, 1)
    assert cells > 0
    assert names(Catalog(engine, [survey])) == {"b"}


def test_a_key_never_names_another_image(engine: Engine, root: Path) -> None:
    survey = survey_of(root)
    tile(root / "a.fits")
    tile(root / "b.fits", dec=30.0)
    index_survey(engine, survey)
    kept = Catalog(engine, [survey])
    gone = kept.record("tiles/g/b", 1)
    assert "30.0" in kept.header_text(gone)
    (root / "b.fits").unlink()
    index_survey(engine, survey)
    purge(engine.execution_options(writes=True), 1, datetime.now(UTC) + timedelta(hours=1))
    tile(root / "c.fits", dec=40.0)
    index_survey(engine, survey)
    new = kept.record("tiles/g/c", 3)
    assert new.artifact_id != gone.artifact_id
    assert kept.artifact(new.artifact_id).dataset == "tiles/g/c"
    assert "40.0" in kept.header_text(new)


def test_another_declaration_reads_every_file_anew(lite: Engine, root: Path) -> None:
    tile(root / "a.fits")
    index_survey(lite, survey_of(root))
    titled = index_survey(lite, survey_of(root, title="Another title"))
    assert (titled.generation, counts(titled)) == (1, (0, 0, 0, 1))
    fixed = index_survey(lite, survey_of(root, fix={"RADESYS": "FK5"}))
    assert (fixed.generation, counts(fixed)) == (2, (0, 1, 0, 0))


def test_a_checksum_finds_what_size_and_time_do_not_tell(lite: Engine, root: Path) -> None:
    path = tile(root / "a.fits")
    survey = survey_of(root)
    index_survey(lite, survey, checksum=True)
    facts = path.stat()
    path.write_bytes(path.read_bytes().replace(b"10.0", b"11.0"))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert counts(index_survey(lite, survey)) == (0, 0, 0, 1)
    assert counts(index_survey(lite, survey, checksum=True)) == (0, 1, 0, 0)
    assert counts(index_survey(lite, survey, checksum=True)) == (0, 0, 0, 1)


def test_broken_files_are_reported_and_stop_nothing(lite: Engine, root: Path) -> None:
    good = tile(root / "good.fits").read_bytes()
    end = good.index(b"END" + b" " * 77)
    broken = {
        "empty": b"",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "text": b"hello " * 1000,
        "compress": b"\x1f\x9d\x90" + bytes(100),
        "short": good[:-3000],
        "cut": good[:1000],
        "endless": good[:end] + b" " * 5_000_000,
        "bitpix": good.replace(b"BITPIX  =                  -32", b"BITPIX  =                  -31"),
        "naxis": good.replace(b"NAXIS   =                    2", b"NAXIS   =                   99"),
        "negative": good.replace(b"NAXIS1  =                   40", b"NAXIS1  =                  -40"),
        "word": good.replace(b"NAXIS1  =                   40", b"NAXIS1  = 'forty'             "),
        "nosky": good.replace(b"RA---TAN", b"LINEAR  "),
        "table": good.replace(b"DEC--TAN", b"DEC--TAB"),
        "singular": good.replace(b"CD1_1", b"CD9_9"),
        "gzip": gzip.compress(good)[:-300],
        "garbage": b"\x1f\x8b\x08\x00" + bytes(range(256)) * 10,
        "bomb": gzip.compress(
            good.replace(b"NAXIS1  =                   40", b"NAXIS1  =           2000000000")
        ),
    }
    for name, content in broken.items():
        (root / f"{name}.fits").write_bytes(content)
    os.mkfifo(root / "pipe.fits")
    (root / "folder.fits").mkdir()
    os.symlink(root / "nowhere", root / "dangling.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([])]).writeto(root / "noimage.fits")

    survey = survey_of(root)
    report = index_survey(lite, survey)
    assert names(Catalog(lite, [survey])) == {"good"}
    said = reasons(report)
    assert set(said) == {f"{name}.fits" for name in (*broken, "pipe", "dangling", "noimage")}
    for name, reason in {
        "empty": "the file is empty",
        "lfs": "this is a Git LFS pointer",
        "text": "it does not begin with SIMPLE",
        "compress": "Unix compress",
        "short": "cut short",
        "cut": "the header of HDU 0 is cut short",
        "endless": "has no END within",
        "bitpix": "BITPIX -31",
        "naxis": "NAXIS3 is not a whole number",
        "negative": "negative length",
        "word": "NAXIS1 is not a whole number",
        "nosky": "no celestial WCS",
        "table": "-TAB",
        "singular": "singular",
        "gzip": "cut short",
        "garbage": "the gzip stream is damaged",
        "bomb": "bytes inflated is not read",
        "pipe": "not a regular file",
        "dangling": "No such file",
        "noimage": "it has no image",
    }.items():
        assert reason in said[f"{name}.fits"], name
    # They are remembered: what did not change is not read again, and still reported.
    again = index_survey(lite, survey)
    assert reasons(again) == said
    assert again.generation == report.generation


def test_no_reason_tells_where_a_file_lies(lite: Engine, root: Path) -> None:
    (root / "deep").mkdir()
    (root / "deep" / "empty.fits").touch()
    os.symlink(root / "nowhere", root / "deep" / "dangling.fits")
    report = index_survey(lite, survey_of(root))
    assert len(report.refused) == 2
    assert not any("/" in str(refusal) for refusal in report.refused)


def test_links_lead_nowhere_outside(lite: Engine, root: Path, tmp_path: Path) -> None:
    outside, other = tmp_path / "outside", tmp_path / "other"
    tile(outside / "secret.fits")
    tile(other / "fine.fits")
    tile(root / "real.fits")
    os.symlink(outside / "secret.fits", root / "link.fits")
    os.symlink(outside, root / "folder")
    os.symlink(root, root / "loop")
    os.symlink(root / "real.fits", root / "alias.fits")
    os.symlink(other / "fine.fits", root / "across.fits")
    survey = survey_of(root, other)
    report = index_survey(lite, survey)
    assert reasons(report) == {"link.fits": "it leads out of the survey's folders"}
    catalog = Catalog(lite, [survey])
    assert names(catalog) == {"real", "alias", "across", "fine"}
    assert catalog.path(catalog.record("tiles/g/across", 1)) == other / "fine.fits"

    # Nor does one that is put in the place of a file later.
    (root / "real.fits").unlink()
    os.symlink(outside / "secret.fits", root / "real.fits")
    with pytest.raises(BrokenImage, match=r"^real.fits cannot be read: it leads out of"):
        catalog.path(catalog.record("tiles/g/real", 1))
    (root / "alias.fits").unlink()
    with pytest.raises(BrokenImage, match=r"^alias.fits cannot be read: it is no longer there"):
        catalog.path(catalog.record("tiles/g/alias", 1))


def test_the_same_file_in_two_folders_of_a_survey_is_refused(lite: Engine, root: Path) -> None:
    tile(root / "one" / "a.fits")
    tile(root / "two" / "a.fits")
    survey = survey_of(root / "one", root / "two")
    assert reasons(index_survey(lite, survey)) == {"a.fits": "another folder of the survey has the same file"}


def test_identifiers_never_collide(lite: Engine, root: Path) -> None:
    for name in ("tile", "TILE", "a+b", "a b", "a_b", "sub/tile"):
        tile(root / f"{name}.fits")
    survey = survey_of(root)
    report = index_survey(lite, survey)
    found = names(Catalog(lite, [survey]))
    # Files come in the order of their names: "TILE" is first, and of "a b", "a+b", "a_b" the first is plain.
    assert {"TILE", "a_b"} < found
    assert len([name for name in found if name.startswith("a_b~")]) == 1
    assert sorted(str(refusal) for refusal in report.refused) == [
        "a_b.fits[0]: another image is tiles/g/a_b already; tell them apart by a `dataset` template",
        "tile.fits[0]: its identifier tiles/g/tile differs from tiles/g/TILE by case alone",
        "tile.fits[0]: its identifier tiles/g/tile differs from tiles/g/TILE by case alone",
    ]


def test_a_second_weight_of_an_image_is_refused(lite: Engine, root: Path) -> None:
    tile(root / "t1.fits")
    tile(root / "a" / "t1.wt.fits")
    tile(root / "b" / "t1.wt.fits")
    layers = {"image": {"path": "{tile}.fits"}, "weight": {"path": "*/{tile}.wt.fits", "meaning": "invvar"}}
    survey = survey_of(root, layers=layers)
    report = index_survey(lite, survey)
    assert [refusal.reason for refusal in report.refused] == [
        "another file is the weight of the same image already"
    ]
    catalog = Catalog(lite, [survey])
    companions = catalog.companions(catalog.record("tiles/g/t1", 1), 1)
    assert companions["weight"].file.path == "a/t1.wt.fits"
    assert companions["weight"].role == "weight"


def test_a_folder_that_is_missing_or_empty_leaves_the_index_alone(lite: Engine, root: Path) -> None:
    survey = survey_of(root)
    tile(root / "a.fits")
    index_survey(lite, survey)
    (root / "a.fits").unlink()
    with pytest.raises(SurveyError, match="all files of the survey tiles are gone"):
        index_survey(lite, survey)
    root.rmdir()
    with pytest.raises(SurveyError, match="a folder of the survey tiles is not there"):
        index_survey(lite, survey)
    assert names(Catalog(lite, [survey])) == {"a"}


def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may list every folder")
    tile(root / "closed" / "a.fits")
    (root / "closed").chmod(0)
    walk = Walk(survey_of(root))
    assert list(walk) == []
    assert walk.unreadable == ["closed/"]
    (root / "closed").chmod(0o700)


def test_unique_areas_from_a_table(lite: Engine, root: Path) -> None:
    tile(root / "t1.fits")
    tile(root / "t2.fits")
    (root / "areas.csv").write_text("name,shape\nt1,CIRCLE ICRS 10 20 0.1\n")
    unique = {"table": "areas.csv", "key": "name", "field": "tile", "region": "shape"}
    layers = {"image": {"path": "{tile}.fits"}}
    survey = survey_of(root, layers=layers, unique=unique)
    assert reasons(index_survey(lite, survey)) == {
        "t2.fits": "the table of unique areas has no limits for its tile"
    }
    catalog = Catalog(lite, [survey])
    assert catalog.attributes(catalog.record("tiles/g/t1", 1)) == {
        "unique": {"region": "CIRCLE ICRS 10 20 0.1"}
    }
    for changes, sentence in (
        ({"region": "form"}, "the table has no column form"),
        ({"table": "no.csv"}, "it is no longer there"),
        ({"table": "t1.fits"}, "it cannot be read as a table"),
        ({"table": "t1.txt"}, "a name ending in .fits"),
    ):
        with pytest.raises(DeclarationError, match=sentence):
            index_survey(lite, survey_of(root, layers=layers, unique=unique | changes))


@pytest.mark.deployment
def test_processes_give_what_one_gives_and_survive_a_file_that_kills_them(lite: Engine, root: Path) -> None:
    for number in range(70):
        tile(root / f"{number:02d}.fits", ra=float(number))
    survey = survey_of(root)
    found = list(Walk(survey))
    alone = [scan.hdus for scan in scan_files(survey, found, 1, checksum=False)]
    found.insert(35, FoundFile("killer.fits", _Killer(root), 1, 1, (Match("image", {}),)))
    together = list(scan_files(survey, found, 2, checksum=False))
    killed = together.pop(35)
    assert killed.refused == ((None, "the process that read it died"),)
    assert [scan.hdus for scan in together] == alone


class _Killer(type(Path())):  # type: ignore[misc]
    """A path that ends the process it is sent to."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (1,)


def _interrupt(*_: int) -> None:
    raise KeyboardInterrupt


def _rows(engine: Engine) -> tuple[Any, ...]:
    """All that can differ between two states of the index."""
    with engine.connect() as connection:
        versioned = [
            connection.execute(select(table.id, table.gen_from, table.gen_to).order_by(table.id)).all()
            for table in (FileRow, DatasetRow, ArtifactRow)
        ]
        counted = [
            connection.execute(select(func.count()).select_from(table)).scalar()
            for table in (CellRow, HeaderRow)
        ]
    return (*versioned, *counted)
