"""Indexing as commands do it: with a bar, and a report of what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from config.terminal import progress_bar

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from surveys.index.report import IndexReport
    from surveys.survey import Survey


def run_index(
    engine: Engine, declared: Survey, workers: int, file: Path | None = None, checksum: bool = False
) -> IndexReport:
    """Bring the index of a survey up to date."""
    from surveys.index.ingest import index_survey

    with progress_bar(f"indexing {declared.name}") as progress:
        return index_survey(
            engine, declared, workers=workers, progress=progress, only_file=file, checksum=checksum
        )


def tell_index(report: IndexReport) -> None:
    """Say what indexing found, and on standard error what it left out."""
    for refusal in report.refused:
        click.echo(f"left out: {refusal}", err=True)
    if report.unreadable:
        click.echo(
            f"{report.unreadable} folders could not be listed; what was known of them is kept", err=True
        )
    alerts = "" if report.alerts is None else f", {report.alerts} alerts read"
    click.echo(
        f"{report.survey}: {report.files} files ({report.added} new, {report.changed} changed, "
        f"{report.vanished} gone){alerts}, {len(report.refused)} left out"
    )
