"""``fountain batch``. What it needs is imported when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from config import token_file

_EPILOG = """\b
Exit status
  0    every row has its file, or has no data at its place
  1    the job failed or was aborted, or what came is damaged
  2    the request is wrong: an option, the table, or a limit of the service
  3    the job is completed, and some of its rows failed
  4    the service cannot be reached
  130  interrupted; the same command goes on from there
"""


@click.command(epilog=_EPILOG)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--survey", multiple=True, metavar="NAME", help="Survey to cut from. May be repeated.")
@click.option(
    "--band", multiple=True, metavar="LABEL", help="Band of the surveys: a file each. May be repeated."
)
@click.option(
    "--kind", multiple=True, metavar="NAME", help="Stamp of alerts: Science, … A file each. May be repeated."
)
@click.option(
    "--id", multiple=True, metavar="ID", help="Publisher DID of a survey, band or image. May be repeated."
)
@click.option("--size", metavar="'W [H] UNIT'", help="Of the box about each target: 30arcsec, 2', 256px.")
@click.option("--radius", metavar="ANGLE", help="Half the side of that box, instead of --size.")
@click.option("--format", multiple=True, metavar="WORD", help="fits, png, jpeg; of alerts webp, json too.")
@click.option(
    "--columns", metavar="MAPPING", help="Columns not found by themselves: ra:RAJ2000,dec:DEJ2000,id:Name."
)
@click.option(
    "--onbad", type=click.Choice(["skip", "fail"]), help="Rows that cannot be read.  [default: skip]"
)
@click.option(
    "-p", "--param", multiple=True, metavar="NAME=VALUE", help="Any other parameter. May be repeated."
)
@click.option("--label", metavar="TEXT", help="Name of the job (RUNID).")
@click.option("--estimate/--no-estimate", default=None, help="Show the estimate and stop, or do without one.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before submitting.")
@click.option("--wait/--no-wait", default=True, help="Wait and download, or only submit.  [default: --wait]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER|FILE.zip",
    help="A folder, or an archive (.zip, .tar).  [default: the name of FILE, .zip]",
)
@click.option("--files", is_flag=True, help="Fetch file by file into a folder, not as an archive.")
@click.option("--retry", metavar="JOB", help="Make the failed rows of a job again, in a new job.")
@click.option("--resume", metavar="JOB", help="Make what an aborted job has not made, in a new job.")
@click.option("--attach", metavar="JOB", help="Come back to a job: wait for it, and download.")
@click.option("--url", metavar="BASE", help="Of the service.  [default: the one on this machine]")
@token_file.option
def batch(**options: Any) -> None:
    """Make cutouts of a list of targets, by one job of a service.

    FILE is a table of targets: CSV, VOTable, FITS, ECSV or JSON lines, with columns such as ra, dec and id;
    of a survey of alerts with objectId or candid, or a plain list of objects.
    Its rows may have settings of their own. docs/lists.md tells all of it.

    \b
    fountain batch targets.csv --survey demo --band g --band r --size 30arcsec
    fountain batch targets.vot --survey demo --size 256px --format png -o pictures/
    fountain batch targets.csv --survey demo --size 30arcsec --estimate
    fountain batch targets.fits --id 'ivo://example.org/cutouts?survey/r' --url https://example.org/soda
    fountain batch objects.txt --survey ztf-alerts --kind Science
    fountain batch --attach https://example.org/soda/async/0123456789abcdef

    The estimate is shown first; then the list is submitted, and its files are downloaded and checked. JOB is
    the URL of a job, or its id. After Ctrl-C the job goes on, and the same command goes on with it.
    """  # noqa: D301  # click wants the character
    from config.batch.faults import INTERRUPTED, BatchFault

    try:
        status = _run(options)
    except BatchFault as fault:
        click.echo(f"Error: {fault}", err=True)
        status = fault.status
    except KeyboardInterrupt:
        status = INTERRUPTED
    raise SystemExit(status)


def _run(options: dict[str, Any]) -> int:
    from config.batch.asked import base_of, earlier_of, output_of, parameters_of
    from config.batch.run import Run, Task
    from config.batch.screen import Screen
    from config.batch.service import Service

    token = token_file.read_token(options["token_file"]) if options["token_file"] else ""
    service = Service(base_of(options) or _local_url(), token=token)
    try:
        earlier = earlier_of(options, service.url)
        output = output_of(options, earlier)
        pairs = [] if earlier else parameters_of(options, service.did)
        task = Task(
            pairs=pairs,
            file=options["file"],
            earlier=earlier,
            output=output,
            estimates=options["estimate"],
            is_agreed=options["yes"],
            waits=options["wait"],
        )
        return Run(service, task, Screen()).go()
    finally:
        service.close()


def _local_url() -> str:
    """URL of the service that these settings are of."""
    from config.terminal import read_settings

    server = read_settings().server
    host = "127.0.0.1" if server.host in ("", "0.0.0.0", "::") else server.host  # noqa: S104  # it is compared
    return server.base_url or f"http://{host}:{server.port}"
