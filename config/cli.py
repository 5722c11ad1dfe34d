"""The command line. What a command needs is imported when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from config import (
    account_commands,
    admin_commands,
    aladin,
    alert_commands,
    job_commands,
    limits,
    operations,
    queues,
    sky_viewers,
)
from config.batch.command import batch
from config.indexing import run_index, tell_index
from config.terminal import console, database, declared_survey, progress_bar, read_settings
from config.token_file import option as token_option

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from config.settings import Settings

#: The survey of the demo's alerts, and their folder.
DEMO_ALERTS = "demo-alerts"
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Turns what goes wrong on purpose into one sentence and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from sqlalchemy.exc import OperationalError

            from accounts.providers.keys import ProviderError
            from config.database import DatabaseMismatch
            from config.redis_server import ServerNotStarted
            from config.settings import SettingsError
            from surveys.errors import SurveyError

            if isinstance(error, OSError) and error.filename is not None:
                raise click.ClickException(f"{error.filename}: {error.strerror}") from error
            ours = (SettingsError, SurveyError, DatabaseMismatch, ServerNotStarted, ProviderError, OSError)
            if isinstance(error, ours):
                raise click.ClickException(str(error)) from error
            if isinstance(error, OperationalError):
                # The driver's own words: those of SQLAlchemy add the statement.
                raise click.ClickException(f"the database does not answer: {error.orig}") from error
            raise


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="sodafountain", prog_name="fountain")
def main() -> None:
    """Serve cutouts of astronomical image surveys the Virtual Observatory way (IVOA SODA).

    \b
    A first look:           fountain demo && fountain serve
    A survey of your own:   write NAME.toml (see the examples in config/surveys/examples), then
                            fountain survey index NAME && fountain survey check NAME

    Settings come from config/default.toml, then from the file that FOUNTAIN_CONFIG names, then from
    the environment: FOUNTAIN_SYNC__MAX_PIXELS=1000000 sets max_pixels of [sync]. The data folder,
    where the database and the demo survey lie, is FOUNTAIN_DATA__FOLDER.
    """  # noqa: D301  # click wants the character


for command in (
    operations.serve,
    operations.worker,
    operations.reconcile,
    job_commands.jobs,
    queues.queue,
    queues.workers,
    limits.quota,
    batch,
    account_commands.accounts,
    account_commands.token,
    admin_commands.admin,
    aladin.aladin,
):
    main.add_command(command)


@main.command()
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one for each core]")
def demo(workers: int | None) -> None:
    """Make the demo survey and index it.

    A simulated sky in three bands, about 200 MB, and a small lake of alerts of it, in the data folder;
    nothing is downloaded. Files that are there already are kept.
    """
    from config.demo import DEMO, make_demo
    from config.kernels import compile_kernels
    from config.settings import available_cores
    from dali.xtypes import format_numbers

    settings = read_settings()
    workers = workers or available_cores()
    compile_kernels(click.echo)
    with progress_bar("making the demo survey") as progress:
        report = make_demo(settings.data.path / "demo", workers=workers, progress=progress)
    click.echo(f"{report.made} of {report.files} files made, {report.size / 1e6:.0f} MB in {report.folder}")
    with database(settings) as engine:
        tell_index(run_index(engine, declared_survey(settings, "demo"), workers))
        _make_overviews(settings, "demo", workers)
        _make_demo_alerts(settings, engine)
    circle = format_numbers(DEMO.ra_deg, DEMO.dec_deg, DEMO.radius_deg)
    click.echo(f"Try: fountain cutout {DEMO.dataset} --circle '{circle}'")


@main.group()
def survey() -> None:
    """Index surveys, list them, check them.

    A survey is declared by a TOML file in config/surveys or in one of the folders that the setting
    surveys.declarations names.
    """


survey.add_command(sky_viewers.hips)
survey.add_command(alert_commands.import_avro)


@survey.command()
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), help="Look at this one new or changed file only.")
@click.option(
    "--checksum", is_flag=True, help="Keep a SHA-256 of every file, and compare by it. Reads all bytes."
)
@click.option(
    "--workers", type=click.IntRange(1), help="Processes that read files.  [default: one for each core]"
)
def index(name: str, file: Path | None, checksum: bool, workers: int | None) -> None:
    """Bring the index of survey NAME up to date with its files.

    Only what is new or changed is read. Broken files are reported and left out. The new index appears
    at once when all is read: a service in use answers from the old one until then.
    """
    from config.settings import available_cores

    settings = read_settings()
    with database(settings) as engine:
        declared = declared_survey(settings, name)
        tell_index(run_index(engine, declared, workers or available_cores(), file, checksum))
        _make_overviews(settings, name, workers or available_cores())


@survey.command("list")
def list_surveys() -> None:
    """List the declared surveys, and what the index has of them."""
    from rich.table import Table

    from config.app import assemble

    settings = read_settings()
    with database(settings):
        parts = assemble(settings)
        table = Table("survey", "title", "kind", "images or alerts", "refused files", "indexed", box=None)
        for declared in parts.surveys:
            held = parts.catalog.holdings(declared.name)
            images = "  ".join(f"{band} {count}" for band, count in held.images.items()) or "none"
            when = held.last_modified.strftime("%Y-%m-%d %H:%M") if held.last_modified else "never"
            table.add_row(declared.name, declared.title, declared.kind, images, str(held.refused), when)
        parts.engine.dispose()
    console().print(table)


@survey.command()
@click.argument("name")
@click.option("--stamps", type=click.IntRange(1), default=10, show_default=True, help="Number of cutouts.")
@click.option("--seed", type=int, default=None, help="Choose the same cutouts again.")
def check(name: str, stamps: int, seed: int | None) -> None:
    """Cut random stamps of survey NAME and compare their pixels and sky coordinates with astropy's.

    Of a survey of alerts, the stamps of random ones are compared with what pyarrow reads, byte for byte.
    """
    from config.app import assemble
    from surveys.check import check_survey

    settings = read_settings()
    with database(settings):
        parts = assemble(settings)
        checks = check_survey(parts.catalog, parts.source, name, stamps=stamps, seed=seed)
        is_lake = parts.catalog.survey(name).lake is not None
        parts.engine.dispose()
    the_same, judge = ("stamps", "pyarrow") if is_lake else ("pixels", "astropy")
    for checked in checks:
        offset = "" if checked.offset_mas is None else f", positions within {checked.offset_mas:.2g} mas"
        click.echo(f"{checked.dataset}: {checked.problem or f'{the_same} the same{offset}'}")
    wrong = sum(checked.problem is not None for checked in checks)
    click.echo(f"{len(checks) - wrong} of {len(checks)} stamps are as {judge} reads them")
    if wrong or not checks:
        raise SystemExit(1)


@main.command()
@click.argument("id", metavar="ID")
@click.option("--circle", metavar="'RA DEC RADIUS'", help="Degrees, ICRS, as everywhere here.")
@click.option("--polygon", metavar="'RA1 DEC1 RA2 DEC2 …'", help="Either winding, the smaller side.")
@click.option("--pos", metavar="SHAPE", help="'CIRCLE …', 'POLYGON …' or 'RANGE RA1 RA2 DEC1 DEC2'.")
@click.option("--center", metavar="'RA DEC'", help="Centre of a box of fixed size; with --size.")
@click.option("--size", metavar="'W [H] UNIT'", help="30arcsec, 2', 0.1deg or 256px.")
@click.option("--band", metavar="'MIN MAX'", help="Vacuum wavelengths, metres; -Inf and +Inf are open ends.")
@click.option("--time", metavar="'MIN MAX'", help="MJD (UTC).")
@click.option("--pol", multiple=True, metavar="STATE", help="May be repeated.")
@click.option("--filter", multiple=True, metavar="LABEL", help="Band of the survey. May be repeated.")
@click.option("--mask", is_flag=True, help="Blank the pixels outside the region.")
@click.option("--edge", metavar="WORD", help="Region beyond the data: clip, pad or error.")
@click.option("--combine", metavar="WORD", help="Overlapping images: first, mean, weighted or mosaic.")
@click.option("--grid", metavar="WORD", help="native, or tan: gnomonic, north up; with --pixscale.")
@click.option("--pixscale", metavar="ANGLE", help="Pixel scale of --grid tan: 0.3arcsec.")
@click.option("--detail", metavar="WORD", help="full: weight, mask and psf too.")
@click.option("--checksum", is_flag=True, help="Write CHECKSUM and DATASUM.")
@click.option(
    "--format",
    metavar="WORD",
    help="fits, png or jpeg; of alerts webp and json too.  [default: by the name of the output, else fits]",
)
@click.option("--rgb", metavar="R,G,B", help="Bands of a colour picture: i,r,g.")
@click.option("--recipe", metavar="NAME", help="Recipe of the survey for pictures, or auto.")
@click.option("--stretch", metavar="WORD", help="Of pictures of one band: linear, sqrt, log, asinh or power.")
@click.option("--cuts", metavar="LEVELS", help="Black and white: zscale, '1% 99.5%', or '-0.5 20'.")
@click.option("--cmap", metavar="NAME", help="Colour map of matplotlib.")
@click.option("--orient", metavar="WORD", help="native, or north: north up, east left.")
@click.option("--width", metavar="PIXELS", help="Of the picture.")
@click.option("--height", metavar="PIXELS", help="Of the picture.")
@click.option(
    "-p", "--param", multiple=True, metavar="NAME=VALUE", help="Any other parameter. May be repeated."
)
@click.option("--url", metavar="BASE", help="Ask the service at this URL, not the files of this machine.")
@token_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: the cutout's own name]"
)
def cutout(output: Path | None, url: str | None, token_file: Path | None, **options: object) -> None:
    """Make one cutout.

    ID is a publisher DID, or what follows the ? in one of this service: demo/r.

    \b
    fountain cutout demo/r --circle '150.1 2.2 0.01'
    fountain cutout demo --filter g --center '150.1 2.2' --size 256px -o stamp.fits
    fountain cutout demo/r --circle '150.1 2.2 0.01' --url http://127.0.0.1:8080
    fountain cutout demo --center '150.1 2.2' --size 60arcsec --rgb i,r,g -o field.png
    fountain cutout demo/r --center '150.1 2.2' --size 2arcmin --grid tan -p RESAMPLE=bilinear

    All parameters, and what they do: docs/cutouts.md and docs/pictures.md.

    Exit status: 0 a file was written, 1 the request is wrong, 3 nothing overlaps.
    """  # noqa: D301  # click wants the character
    from config.cutouts import NoOverlap, fetch_cutout, make_cutout, pairs_of
    from config.token_file import read_token
    from dali.errors import ProtocolError

    settings = read_settings()
    pairs = pairs_of(options, settings.identifiers.base, output)
    try:
        with progress_bar("cutting", unit="bytes") as progress:
            if url is not None:
                token = read_token(token_file) if token_file else ""
                written = fetch_cutout(url, pairs, output, progress, token)
            else:
                with database(settings):
                    written = make_cutout(settings, pairs, output, progress)
    except NoOverlap as empty:
        click.echo(str(empty), err=True)
        raise SystemExit(3) from empty
    except ProtocolError as error:
        lines = [error.sentence, error.fix, *(f"Also: {other.sentence} {other.fix}" for other in error.also)]
        raise click.ClickException("\n".join(line for line in lines if line)) from error
    click.echo(f"{written} ({written.stat().st_size} bytes)")


@main.command()
@click.option(
    "--url", metavar="BASE", help="Public URL of the service.  [default: the setting server.base_url]"
)
def record(url: str | None) -> None:
    """Write the record by which the registry of the Virtual Observatory knows this service.

    It is the same that the service shows at /record; docs/discovery.md tells how to enrol it. What the
    settings do not tell yet is named on standard error.
    """
    from config.app import assemble, describe
    from vosi.record import write_record

    settings = read_settings()
    base_url = (url or settings.server.base_url).rstrip("/")
    if not base_url:
        raise click.UsageError("the public URL of the service is not known: set server.base_url or add --url")
    for name in settings.missing_in_record():
        click.echo(f"not set yet: {name}", err=True)
    with database(settings):
        parts = assemble(settings)
        told = describe(settings, parts)
        written = write_record(told.record(base_url), told.capabilities, told.tables, base_url)
        parts.engine.dispose()
    click.echo(written.decode(), nl=False)


@main.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Bring the tables to the version this program works with.

    SQLite is upgraded at every start; PostgreSQL only by this command.
    """
    from config.database import make_engine, upgrade

    settings = read_settings()
    settings.data.path.mkdir(parents=True, exist_ok=True)
    engine = make_engine(settings.data.engine_url)
    upgrade(engine)
    engine.dispose()
    click.echo("The tables are up to date.")


def _make_demo_alerts(settings: Settings, engine: Engine) -> None:
    """Make and index the alerts of the demo sky, where Parquet can be written."""
    from config.demo.alerts import can_be_made, make_alerts

    if not can_be_made():
        click.echo(
            "no alerts of it: pyarrow is not installed (pip install 'sodafountain[parquet]')", err=True
        )
        return
    report = make_alerts(settings.data.path / DEMO_ALERTS)
    made = "made" if report.made else "kept"
    click.echo(f"{report.alerts} alerts in {report.files} files {made} in {report.folder}")
    tell_index(run_index(engine, declared_survey(settings, DEMO_ALERTS), 1))


def _make_overviews(settings: Settings, name: str, workers: int) -> None:
    """Make what the survey declares of smaller images; says nothing where it declares none."""
    from config.app import assemble
    from surveys.mosaic.overviews import Overviews, images_of

    parts = assemble(settings)
    try:
        declared = parts.catalog.survey(name)
        if not declared.overviews or parts.catalog.overviews is None:
            return
        with progress_bar(f"making the overviews of {declared.name}") as progress:
            report = Overviews(parts.catalog.overviews).make(
                declared,
                images_of(declared, parts.catalog),
                parts.catalog,
                parts.source,
                threads=workers,
                progress=progress,
            )
    finally:
        parts.engine.dispose()
    for failure in report.failed:
        click.echo(f"no overview: {failure}", err=True)
    all_of_them = report.made + report.kept
    click.echo(f"{declared.name}: {all_of_them} overviews ({report.made} new, {report.removed} removed)")
