"""Commands about alerts. What a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import click

from config.indexing import run_index, tell_index
from config.terminal import database, declared_survey, progress_bar, read_settings


@click.command("import-avro")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--no-index", is_flag=True, help="Do not index what was written.")
@click.option("--workers", type=click.IntRange(1), help="Processes that index.  [default: one for each core]")
def import_avro(name: str, files: tuple[Path, ...], no_index: bool, workers: int | None) -> None:
    """Bring alerts that came as Avro FILES into the lake of survey NAME, and index them.

    Of a folder, all its *.avro are read. The lake gets Parquet files in folders by night, year=, month=
    and day=. An alert that the lake has is not written again, so the same files may be given again.
    Broken files are named and left out.

    Exit status: 0 all is in the lake, 1 something was left out.
    """
    from config.app import assemble
    from config.settings import available_cores
    from surveys.alerts import importing

    settings = read_settings()
    with database(settings) as engine:
        declared = declared_survey(settings, name)
        parts = assemble(settings)

        def known(candids: Sequence[int]) -> Collection[int]:
            return parts.catalog.alerts.by_candid(declared, candids)

        try:
            with progress_bar(f"importing into {declared.name}") as progress:
                report = importing.import_avro(declared, files, known=known, progress=progress)
        finally:
            parts.engine.dispose()
        for refused, reason in report.refused:
            click.echo(f"left out: {refused}: {reason}", err=True)
        click.echo(
            f"{declared.name}: {report.files} Avro files, {report.added} alerts added in "
            f"{len(report.written)} files, {report.known} were there already, {len(report.refused)} left out"
        )
        if not no_index:
            tell_index(run_index(engine, declared, workers or available_cores()))
    if report.refused:
        raise SystemExit(1)
