"""The command that builds what sky viewers are given."""

from __future__ import annotations

import click

from config.terminal import database, declared_survey, progress_bar, read_settings


@click.command()
@click.argument("name")
@click.argument("band", required=False)
@click.option("--rgb", metavar="RECIPE", help="In the colours of this recipe, out of the HiPS of its bands.")
@click.option(
    "--order", type=int, help="Of the deepest tiles.  [default: pixels no larger than those of the survey]"
)
@click.option(
    "--photscale",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="Scale images to one zero point, or take their pixels as they are.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one for each core]")
def hips(
    name: str, band: str | None, rgb: str | None, order: int | None, photscale: str, workers: int | None
) -> None:
    """Build the HiPS of survey NAME in BAND: tiles for sky viewers such as Aladin.

    \b
    fountain survey hips demo r
    fountain survey hips demo --rgb RECIPE      when those of its bands are built

    It is kept in the data folder, hips/NAME/BAND, and served at /hips/NAME/BAND, at once when it is whole.
    What was interrupted goes on where it was; after another indexing, only tiles are made anew that
    images have changed of. docs/hips.md tells more.
    """  # noqa: D301  # click wants the character
    from config.hips import build_hips
    from config.kernels import compile_kernels
    from config.settings import available_cores

    if (band is None) == (rgb is None):
        raise click.UsageError("name a BAND, or a recipe by --rgb")
    if rgb is not None and order is not None:
        raise click.UsageError("--order is that of the bands, when colours are built")
    settings = read_settings()
    declared = declared_survey(settings, name)
    if declared.lake is not None:
        raise click.ClickException(f"{declared.name} is a survey of alerts: there is no HiPS of their stamps")
    compile_kernels(click.echo)
    workers = workers or available_cores()
    with database(settings), progress_bar(f"building the HiPS of {declared.name}/{band or rgb}") as progress:
        report = build_hips(settings, declared, band, rgb, order, photscale, workers, progress)
    click.echo(
        f"{report.folder}: order {report.order}, {report.tiles} tiles, {report.made} of them made now; "
        f"served at /hips/{declared.name}/{report.folder.name}"
    )
