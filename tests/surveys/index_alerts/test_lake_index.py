"""The index of alerts follows the lake, and a reader never sees half of a change."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, func, select, update

from surveys.errors import ImageRefused, SurveyError, UnknownDataset
from surveys.index.alerts import ingest, store
from surveys.index.alerts.ingest import index_lake, reindex_file
from surveys.index.alerts.scan import scan_file
from surveys.index.alerts.store import LakeEdition
from surveys.index.alerts.tables import (
    AlertCandidRow,
    AlertCellRow,
    AlertObjectRow,
    AlertRow,
    LakeFileRow,
    LakePagesRow,
)
from surveys.index.catalog import Catalog
from surveys.index.ingest import index_survey
from surveys.index.lock import index_lock
from surveys.index.obscore import ObsConstraints
from surveys.index.report import IndexReport
from surveys.index.tables import GenerationRow
from surveys.parquet.files import LakeFiles
from surveys.survey import Survey
from tests.support.alerts import MadeAlert, alerts_table, write_lake, ztf_survey

TABLES = (LakeFileRow, LakePagesRow, AlertRow, AlertCandidRow, AlertCellRow, AlertObjectRow)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


def night(root: Path, first: int, end: int, name: str = "") -> Path:
    """Lay a file of some alerts into a lake; its stamps are empty."""
    path = root / (name or f"night-{first:04d}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(alerts_table([MadeAlert(n) for n in range(first, end)], stamps=False), path)
    return path


def numbers(catalog: Catalog, survey: Survey) -> set[int]:
    """Numbers of all alerts that are read now, none of which is there twice."""
    found = [alert.candid for alert in catalog.alerts.search(survey, ObsConstraints())]
    assert len(found) == len(set(found))
    return {(candid - MadeAlert(0).candid) // (MadeAlert(1).candid - MadeAlert(0).candid) for candid in found}


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.vanished, report.unchanged


def rows(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES]


def later(path: Path) -> None:
    """Make a file look as if it had been changed: clocks may be too coarse to show it."""
    stamp = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(stamp, stamp))


def test_new_changed_vanished_and_moved_files(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    catalog = Catalog(engine, [survey])
    for first in (0, 10, 20, 30):
        night(root, first, first + 10)
    first_run = index_lake(engine, survey)
    assert (first_run.generation, counts(first_run), first_run.alerts) == (1, (4, 0, 0, 0), 40)
    assert numbers(catalog, survey) == set(range(40))

    same = index_lake(engine, survey)
    assert (same.generation, counts(same), same.alerts) == (1, (0, 0, 0, 4), 0)

    (root / "night-0000.parquet").unlink()
    later(night(root, 10, 15, "night-0010.parquet"))
    (root / "deep").mkdir()
    (root / "night-0020.parquet").rename(root / "deep" / "night-0020.parquet")
    night(root, 40, 50)
    report = index_lake(engine, survey)
    assert (report.generation, counts(report), report.files) == (2, (2, 1, 2, 1), 4)
    assert numbers(catalog, survey) == {*range(10, 15), *range(20, 50)}
    assert catalog.alerts.alert(survey, MadeAlert(21).candid).file.path == "deep/night-0020.parquet"
    with pytest.raises(UnknownDataset, match="no alert"):
        catalog.alerts.alert(survey, MadeAlert(3).candid)
    assert catalog.alerts.holdings(survey).files == 4


def test_the_stamps_of_an_alert_are_found_by_its_row(engine: Engine, root: Path) -> None:
    write_lake(root, 40, files=2, row_group_size=7, hive=True)
    survey = ztf_survey(root)
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey]).alerts
    assert survey.lake is not None
    for number in (0, 6, 7, 19, 20, 39):
        alert = alerts.alert(survey, MadeAlert(number).candid)
        for kind in ("Science", "TEMPLATE", "difference"):
            pages = alerts.pages(alert.file, kind)
            assert pages is not None
            file = alert.file
            value = alerts.lakes.value(survey.lake, file.path, file.size, file.version, pages, alert.row)
            assert value == MadeAlert(number).stamp(kind.capitalize())


def test_a_file_without_a_kind_of_stamp_has_no_pages_of_it(engine: Engine, root: Path) -> None:
    table = alerts_table([MadeAlert(1)], stamps=False)
    pq.write_table(table.drop_columns(["cutoutTemplate"]), root / "old.parquet")
    survey = ztf_survey(root)
    assert index_lake(engine, survey).refused == ()
    alerts = Catalog(engine, [survey]).alerts
    file = alerts.alert(survey, MadeAlert(1).candid).file
    assert alerts.pages(file, "Template") is None
    assert alerts.pages(file, "Science") is not None


def test_a_column_is_read_by_the_name_that_a_file_has_for_it(engine: Engine, root: Path) -> None:
    table = alerts_table([MadeAlert(1)], stamps=False)
    pq.write_table(table, root / "new.parquet")
    names = ["oid" if name == "objectId" else name for name in table.column_names]
    table = alerts_table([MadeAlert(2, epochs=1)], stamps=False).rename_columns(names)
    pq.write_table(table, root / "old.parquet")
    survey = ztf_survey(root)
    assert survey.lake is not None
    columns = replace(survey.lake.columns, object=("objectId", "oid"))
    survey = replace(survey, lake=replace(survey.lake, columns=columns))
    assert index_lake(engine, survey).refused == ()
    alerts = Catalog(engine, [survey]).alerts
    for alert in (MadeAlert(1), MadeAlert(2, epochs=1)):
        assert alerts.alert(survey, alert.candid).object_id == alert.object_id


def test_a_column_may_be_a_field_of_the_path(engine: Engine, root: Path) -> None:
    night(root, 0, 3, "fid=2/a.parquet")
    survey = ztf_survey(root)
    assert survey.lake is not None
    columns = replace(survey.lake.columns, band=("{fid}",))
    survey = replace(survey, lake=replace(survey.lake, columns=columns))
    index_lake(engine, survey)
    alerts = Catalog(engine, [survey]).alerts
    assert {alerts.alert(survey, MadeAlert(n).candid).band for n in range(3)} == {"r"}


def test_of_twins_the_one_indexed_later_counts_until_it_is_gone(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    catalog = Catalog(engine, [survey])
    alerts, twin = catalog.alerts, MadeAlert(3)
    night(root, 0, 5, "b.parquet")
    index_lake(engine, survey)
    night(root, 3, 4, "a.parquet")
    index_lake(engine, survey)
    everywhere = ObsConstraints()
    for _ in range(2):
        assert alerts.alert(survey, twin.candid).file.path == "a.parquet"
        assert alerts.by_candid(survey, [twin.candid])[twin.candid].file.path == "a.parquet"
        epochs = alerts.epochs(survey, twin.object_id)
        assert [alert.candid for alert in epochs] == [MadeAlert(n).candid for n in range(5)]
        assert [alert.file.path for alert in epochs] == 3 * ["b.parquet"] + ["a.parquet", "b.parquet"]
        assert len(list(alerts.search(survey, everywhere))) == 5
    in_older = alerts.in_file(survey, "b.parquet", twin.object_id.lower(), twin.candid)
    assert [(alert.candid, alert.row) for alert in in_older] == [(twin.candid, 3)]
    assert len(alerts.in_file(survey, "b.parquet", twin.object_id, None)) == 5
    assert alerts.in_file(survey, "c.parquet", twin.object_id, None) == ()
    (root / "a.parquet").unlink()
    index_lake(engine, survey)
    assert alerts.alert(survey, twin.candid).file.path == "b.parquet"


def test_surveys_of_one_index_know_nothing_of_each_other(engine: Engine, tmp_path: Path) -> None:
    one, other = (ztf_survey(tmp_path / name, name) for name in ("one", "other"))
    night(tmp_path / "one", 0, 5)
    night(tmp_path / "other", 3, 10)
    for survey in (one, other):
        index_lake(engine, survey)
    catalog = Catalog(engine, [one, other])
    assert numbers(catalog, one) == set(range(5))
    assert numbers(catalog, other) == set(range(3, 10))
    assert catalog.alerts.alert(one, MadeAlert(4).candid).survey == "one"
    with pytest.raises(UnknownDataset):
        catalog.alerts.alert(one, MadeAlert(7).candid)
    with pytest.raises(UnknownDataset):
        catalog.alerts.epochs(one, MadeAlert(7).object_id)


def test_readers_see_the_old_index_until_the_new_one_is_published(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 10, "a.parquet")
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    later(night(root, 5, 12, "a.parquet"))
    night(root, 20, 30, "b.parquet")
    seen: list[set[int]] = []

    def look(done: int, todo: int) -> None:
        seen.append(numbers(catalog, survey))
        with pytest.raises(UnknownDataset):
            catalog.alerts.alert(survey, MadeAlert(25).candid)

    index_lake(engine, survey, progress=look)
    assert seen == [set(range(10))]
    assert numbers(catalog, survey) == {*range(5, 12), *range(20, 30)}


def test_a_file_of_more_alerts_than_a_transaction_takes(
    engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK", 7)
    monkeypatch.setattr(ingest, "CHUNK", 7)
    monkeypatch.setattr(store, "WAITING", 30)
    survey = ztf_survey(root)
    write_lake(root, 100, files=3, stamps=False)
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    assert numbers(catalog, survey) == set(range(100))
    assert len(catalog.alerts.by_candid(survey, [MadeAlert(n).candid for n in range(100)])) == 100
    assert {len(found) for found in catalog.alerts.by_object(survey, [MadeAlert(50).object_id]).values()} == {
        5
    }


def test_a_search_goes_on_in_the_generation_that_it_began_in(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    for first in range(0, 1000, 100):
        night(root, first, first + 100)
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    stream = catalog.alerts.search(survey, ObsConstraints())
    found = [next(stream).candid]
    for path in sorted(root.iterdir())[:-1]:
        path.unlink()
    index_lake(engine, survey)
    found += [alert.candid for alert in stream]
    assert found == [MadeAlert(n).candid for n in range(1000)]
    assert numbers(catalog, survey) == set(range(900, 1000))


def test_readers_in_other_threads_see_whole_generations(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    generations = [set(range(20)), set(range(20, 60)), set(range(60, 70))]
    night(root, 0, 20, "a.parquet")
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    done, wrong = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            found = numbers(catalog, survey)
            if found not in generations:
                wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for numbers_of in generations[1:]:
            later(night(root, min(numbers_of), max(numbers_of) + 1, "a.parquet"))
            index_lake(engine, survey)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_what_a_dead_indexer_left_is_cleared_away(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 10, "a.parquet")
    index_lake(engine, survey)
    before = rows(engine)
    night(root, 10, 30, "b.parquet")
    lake = survey.lake
    assert lake is not None
    edition = LakeEdition(engine, survey, datetime.now(UTC))
    edition.end_files(list(edition.known_files().values()))
    edition.add([scan_file(survey, file) for file in LakeFiles(lake).walk()])
    assert rows(engine)[0] == 3
    (root / "b.parquet").unlink()
    report = index_lake(engine, survey)
    assert (report.generation, counts(report)) == (1, (0, 0, 0, 1))
    assert rows(engine) == before
    assert numbers(Catalog(engine, [survey]), survey) == set(range(10))


def test_rows_that_ended_long_ago_are_deleted_and_their_keys_never_come_back(
    engine: Engine, root: Path
) -> None:
    survey = ztf_survey(root)
    night(root, 0, 10, "a.parquet")
    night(root, 10, 30, "b.parquet")
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    gone = catalog.alerts.alert(survey, MadeAlert(15).candid)
    (root / "b.parquet").unlink()
    index_lake(engine, survey)
    # They are kept for who reads the old generation.
    assert catalog.alerts.records([gone.id]) == {gone.id: gone}
    assert rows(engine)[2] == 30
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(GenerationRow).values(published=long_ago))
    index_lake(engine, survey)
    assert rows(engine) == [1, 3, 10, 10, 10, 10]
    night(root, 30, 40, "c.parquet")
    index_lake(engine, survey)
    assert catalog.alerts.alert(survey, MadeAlert(30).candid).id > gone.id + 10


def test_a_changed_declaration_reads_every_file_anew(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 6)
    index_lake(engine, survey)
    bands = (replace(survey.bands[2], words=("1",)), *survey.bands[1:2])
    changed = replace(survey, bands=bands)
    report = index_lake(engine, changed)
    assert counts(report) == (0, 1, 0, 0)
    alerts = Catalog(engine, [changed]).alerts
    assert [alerts.alert(changed, MadeAlert(n).candid).band for n in range(3)] == ["i", "r", ""]
    assert alerts.holdings(changed).alerts == {"i": 2, "r": 2, "": 2}
    assert counts(index_lake(engine, replace(changed, title="Another"))) == (0, 0, 0, 1)


def test_one_file_is_read_alone(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 10, "a.parquet")
    index_lake(engine, survey)
    night(root, 10, 20, "b.parquet")
    night(root, 20, 30, "c.parquet")
    report = index_survey(engine, survey, only_file=root / "b.parquet")
    assert counts(report) == (1, 0, 0, 0)
    catalog = Catalog(engine, [survey])
    assert numbers(catalog, survey) == set(range(20))
    for elsewhere in (root / "nowhere.parquet", Path("../a.parquet"), root.parent / "fountain.db"):
        with pytest.raises(ImageRefused):
            index_survey(engine, survey, only_file=elsewhere)
    assert counts(index_lake(engine, survey)) == (1, 0, 0, 2)


def test_a_file_replaced_under_the_index_is_read_again_on_the_spot(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 10, "a.parquet")
    night(root, 10, 20, "b.parquet")
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey], kept_s=1e6)
    dataset = catalog.alerts.alert(survey, MadeAlert(3).candid).dataset
    later(night(root, 2, 8, "a.parquet"))
    assert catalog.alerts.reindex(dataset)
    assert numbers(catalog, survey) == {*range(2, 8), *range(10, 20)}
    assert catalog.alerts.alert(survey, MadeAlert(3).candid).row == 1
    # Who comes second finds it done.
    assert reindex_file(engine, survey, "a.parquet").generation == 2
    (root / "a.parquet").unlink()
    assert catalog.alerts.reindex(dataset)
    assert numbers(catalog, survey) == set(range(10, 20))


def test_who_waits_for_a_file_does_not_wait_for_what_is_to_be_cleared_away(
    engine: Engine, root: Path
) -> None:
    survey = ztf_survey(root)
    night(root, 0, 10, "a.parquet")
    night(root, 10, 30, "b.parquet")
    index_lake(engine, survey)
    (root / "b.parquet").unlink()
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey], kept_s=1e6)
    dataset = catalog.alerts.alert(survey, MadeAlert(3).candid).dataset
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(update(GenerationRow).values(published=long_ago))
    later(night(root, 2, 8, "a.parquet"))
    assert catalog.alerts.reindex(dataset)
    assert numbers(catalog, survey) == set(range(2, 8))
    # The rows of the file that is gone are still there.
    assert rows(engine)[2] == 30 + 6
    # After an indexer that died nothing is done, by whoever waits.
    edition = LakeEdition(engine, survey, datetime.now(UTC))
    edition.end_files(list(edition.known_files().values()))
    later(night(root, 0, 5, "a.parquet"))
    assert not catalog.alerts.reindex(dataset)
    assert numbers(catalog, survey) == set(range(2, 8))
    index_lake(engine, survey)
    catalog.refresh()
    assert numbers(catalog, survey) == set(range(5))


def test_one_indexer_at_a_time(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 5)
    index_lake(engine, survey)
    catalog = Catalog(engine, [survey])
    with index_lock(engine, survey.name):
        with pytest.raises(SurveyError, match="being indexed already"):
            index_lake(engine, survey)
        assert not catalog.alerts.reindex(f"ztf/alert/{MadeAlert(1).candid}")


def test_a_lake_that_is_not_there_leaves_the_index_alone(engine: Engine, root: Path) -> None:
    survey = ztf_survey(root)
    night(root, 0, 5)
    index_lake(engine, survey)
    gone: list[Callable[[], object]] = [(root / "night-0000.parquet").unlink, lambda: shutil.rmtree(root)]
    for remove in gone:
        remove()
        with pytest.raises(SurveyError):
            index_lake(engine, survey)
    assert numbers(Catalog(engine, [survey]), survey) == set(range(5))


def test_checksums_are_not_kept_of_a_lake(engine: Engine, root: Path) -> None:
    with pytest.raises(SurveyError, match="no checksums"):
        index_survey(engine, ztf_survey(root), checksum=True)
