"""What a list tells of its rows: the columns of the ledger, README, regions.

Rows are told by their facts (`soda.lists.facts`), which stand in the ledger under the names of the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from dali.votable import Coosys, Datatype, Info, Value
from dali.xtypes import format_number
from soda.table import FITS, PNG
from soda.targets.mapping import OUR_NAMES
from surveys.identifiers import Identifiers
from uws.job import Job, LedgerRow
from uws.packages.names import safe_name
from uws.packages.package import (
    ACCESS_ESTSIZE,
    ACCESS_FORMAT,
    ACCESS_URL,
    ATTEMPTS,
    BYTES,
    ERROR_CODE,
    ERROR_MESSAGE,
    PATH,
    RESULT_ID,
    SECONDS,
    SHA256,
    STATUS,
    Column,
    Entry,
    fact,
)

#: What may become of a row; `poison` brought its process down.
VERDICTS = ("ok", "clipped", "no_overlap", "no_rights", "failed", "poison")

SKY = Coosys("icrs")
_PLACE = "obscore:Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2"
#: Folders of a package, by media type.
_FOLDERS = {FITS: "fits", "image/fits": "fits", PNG: "png"}
_REGION_HEAD = (
    "# Region file format: DS9 version 4.1\n"
    'global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 edit=1 move=1\n'
    "icrs\n"
)


def _fact(
    name: str,
    description: str,
    ucd: str = "",
    datatype: Datatype = "char",
    unit: str = "",
    *,
    utype: str = "",
    ref: str = "",
) -> Column:
    return Column(
        name=name,
        datatype=datatype,
        unit=unit,
        ucd=ucd,
        utype=utype,
        ref=ref,
        description=description,
        value=fact(name),
    )


def _angle(name: str, description: str, ucd: str) -> Column:
    return _fact(name, description, ucd, "double", "deg", ref=SKY.id)


def _target_or_centre(name: str) -> Column:
    """Place of the cutout for programs that look for ObsCore: its centre, else the target."""
    axis, coordinate = ("ra", "C1") if name == "s_ra" else ("dec", "C2")

    def value(entry: Entry) -> Value:
        facts: Mapping[str, float] = entry.row.facts
        return facts.get(f"centre_{axis}", facts.get(axis))

    return Column(
        name=name,
        datatype="double",
        unit="deg",
        ucd=f"pos.eq.{axis}",
        utype=f"{_PLACE}.{coordinate}",
        ref=SKY.id,
        description="Centre of the cutout, else the target",
        value=value,
    )


_BEFORE = (
    _fact("row", "Number of the target in the table that was sent, from 1", "meta.record", "long"),
    Column(
        name="id",
        datatype="unicodeChar",
        ucd="meta.id;meta.main",
        description="The target's own name, as it was sent",
        value=lambda entry: entry.row.label or None,
    ),
    _angle("ra", "Right ascension of the target", "pos.eq.ra;meta.main"),
    _angle("dec", "Declination of the target", "pos.eq.dec;meta.main"),
    Column(
        name="name",
        ucd="meta.id;meta.file",
        description="Name of the file",
        value=lambda entry: entry.row.file_name if entry.row.container else None,
    ),
    _fact("survey", "Survey", "meta.id;obs"),
    _fact("release", "Data collection", "meta.id", utype="obscore:DataID.collection"),
    _fact("band", "Band, or bands", "instr.bandpass"),
    _fact("format", "Kind of the file: fits, png or jpeg", "meta.code"),
    PATH,
    BYTES,
    SHA256,
    STATUS,
    ERROR_CODE,
    ERROR_MESSAGE,
    _fact("requested_w", "Width asked for, in pixels of the survey", "phys.size", "long", "pixel"),
    _fact("requested_h", "Height asked for, in pixels of the survey", "phys.size", "long", "pixel"),
    _fact("naxis1", "Width of the cutout", "phys.size", "long", "pixel"),
    _fact("naxis2", "Height of the cutout", "phys.size", "long", "pixel"),
    _angle("centre_ra", "Right ascension of the centre of the cutout", "pos.eq.ra"),
    _angle("centre_dec", "Declination of the centre of the cutout", "pos.eq.dec"),
    _fact("frac_valid", "Share of the pixels that have data", "stat.value", "double"),
    _fact("clipped", "Whether the box reaches beyond the data", "meta.code", "boolean"),
    _fact("resampled", "Whether pixel values are interpolated", "meta.code", "boolean"),
    _fact("source_datasets", "Images it is made of, separated by spaces", "meta.id"),
    ATTEMPTS,
    SECONDS,
    _fact(
        "x_target",
        "Pixel of the target, as FITS counts: from 1",
        "pos.cartesian.x",
        "double",
        "pixel",
    ),
    _fact(
        "y_target",
        "Pixel of the target, as FITS counts: from 1",
        "pos.cartesian.y",
        "double",
        "pixel",
    ),
    _fact("pixel_scale", "Size of a pixel at the target", "phys.angSize;instr.pixel", "double", "arcsec"),
    _fact(
        "orientation",
        "Position angle of the y axis, north through east",
        "pos.posAng",
        "double",
        "deg",
    ),
    _fact("bunit", "Unit of the pixel values", "meta.unit"),
    _fact("zeropoint", "Magnitude of a pixel value of 1", "phot.mag;arith.zp", "double", "mag"),
    _fact("mjd", "Middle of the time of observation", "time.epoch;obs", "double", "d"),
    _fact("recipe", "By what a picture was made", "meta.note"),
    RESULT_ID,
    ACCESS_URL,
    ACCESS_FORMAT,
    ACCESS_ESTSIZE,
)
_AFTER = (_target_or_centre("s_ra"), _target_or_centre("s_dec"))


def _setting(name: str, resolved: Column | None = None) -> Column:
    """Column of a setting, for lists: as it was resolved, else as the row says it."""

    def value(entry: Entry) -> Value:
        found = None if resolved is None else resolved.value(entry)
        own: Mapping[str, str] = entry.row.facts.get("own", {})
        return own.get(name) if found is None else found

    return Column(name=name, description=f"Setting {name}", value=value)


class ListPackage:
    """Tells of the rows of lists (`uws.packages.package.Package`).

    Parameters
    ----------
    identifiers
        Publisher DIDs of this service.
    title
        What the service calls itself.
    creator
        The program and its version.
    publisher
        Who runs it; "" where that is not told.
    """

    statuses = VERDICTS
    systems = (SKY,)
    region_head = _REGION_HEAD
    row_fact = "row"

    def __init__(self, identifiers: Identifiers, title: str, creator: str, publisher: str = "") -> None:
        self._identifiers = identifiers
        self._title = title
        self._creator = creator
        self._publisher = publisher
        did = Column(
            name="obs_publisher_did",
            ucd="meta.ref.ivoid",
            utype="obscore:Curation.publisherDID",
            description="What was asked for: an image, a survey band, or a survey",
            value=self._did,
        )
        self._columns = (*_BEFORE, did, *_AFTER)
        named = {column.name: column for column in self._columns}
        kept = [named[name] for name in ("id", "ra", "dec")]
        told = [named[name] for name in ("row", "status", "error_code", "error_message")]
        resolved = {
            "obs_publisher_did": did,
            "size": _fact("size", "Size of the box"),
            "format": named["format"],
        }
        settings = [_setting(name, column) for name, column in resolved.items()]
        self._failed_columns = (*kept, *settings, *told)
        others = (name for name in OUR_NAMES if name not in (*resolved, "id", "ra", "dec"))
        self._failed_settings = tuple(_setting(name) for name in others)

    @property
    def columns(self) -> Sequence[Column]:
        """Of the ledger and of manifests."""
        return self._columns

    @property
    def failed_columns(self) -> Sequence[Column]:
        """Of the table of rows that failed, which is a list of targets itself."""
        return self._failed_columns

    @property
    def failed_settings(self) -> Sequence[Column]:
        """Of what rows said themselves."""
        return self._failed_settings

    def table_row(self, row: LedgerRow) -> int:
        """Row of the table of targets that a row is of."""
        number: int = row.facts.get("row", 0)
        return number

    def path(self, row: LedgerRow) -> str:
        """Path of a file in a package: ``fits/<survey>/<band>/NAME.fits``; the names differ already."""
        if not row.file_name:
            return ""
        folder = _FOLDERS.get(row.media_type, "jpeg")
        parts = (folder, row.facts.get("survey"), row.facts.get("band"), row.file_name)
        return "/".join(part for part in parts if part)

    def infos(self, job: Job) -> Sequence[Info]:
        """Tell of the job at the head of VOTables."""
        told = (("service", self._title), ("creator", self._creator), ("publisher", self._publisher))
        return [Info(name, value) for name, value in (*told, ("job", job.job_id)) if value]

    def readme(self, job: Job, job_url: str, counts: Mapping[str, int]) -> str:
        """Text of README.txt."""
        asked = "\n".join(f"  {one.name}={one.value}" for one in job.parameters)
        came = ", ".join(f"{counts[word]} {word}" for word in VERDICTS if counts.get(word))
        by = f", run by {self._publisher}" if self._publisher else ""
        return (
            f"Cutouts by {self._title}{by}\n\n"
            f"Job {job.job_id}\n{job_url}\nmade by {self._creator}.\n\n"
            f"What was asked for:\n{asked}\n\nWhat became of it: {came or 'nothing'}.\n\n"
            "manifest.csv and manifest.vot have a row for each target and product: its file, where the\n"
            "pixels come from, what is to be known of them, and why some failed. SHA256SUMS has checksums\n"
            "(sha256sum -c SHA256SUMS), regions.reg the boxes for DS9, request.json the request.\n\n"
            "status: ok; clipped, the box reaches beyond the data; no_overlap, there are no data there;\n"
            "no_rights, the data are not open to you; failed and poison, with a sentence that says why.\n\n"
            f"To ask the same again:\n{_commands(job, job_url)}"
        )

    def request(self, job: Job) -> Mapping[str, Any]:
        """Tell what was asked, so that it can be sent again."""
        asked: dict[str, list[str]] = {}
        for one in job.parameters:
            if not one.by_reference:
                asked.setdefault(one.name, []).append(one.value)
        files = {one.name.lower(): one.value for one in job.parameters if one.by_reference}
        return {
            "service": self._title,
            "creator": self._creator,
            "run_id": job.run_id,
            "parameters": asked,
            "files": files,
        }

    def region(self, row: LedgerRow) -> str:
        """Write the box of a row as DS9 has it; the target where there is no cutout."""
        facts = row.facts
        text = (row.label or row.result_id).translate(_SAFE_IN_REGIONS)
        if facts.get("ra") is None:
            return ""
        if facts.get("centre_ra") is None or facts.get("pixel_scale") is None:
            place = f"{format_number(facts['ra'])},{format_number(facts['dec'])}"
            return f"point({place}) # point=x color=red text={{{text}}}"
        place = f"{format_number(facts['centre_ra'])},{format_number(facts['centre_dec'])}"
        scale = facts["pixel_scale"]
        sides = ",".join(f'{facts[side] * scale:.3f}"' for side in ("naxis1", "naxis2"))
        return f"box({place},{sides},{facts.get('orientation') or 0.0:.4f}) # text={{{text}}}"

    def _did(self, entry: Entry) -> Value:
        dataset = entry.row.facts.get("dataset")
        return None if dataset is None else self._identifiers.did(dataset)


def _commands(job: Job, job_url: str) -> str:
    """Write the lines that make a job of the same request; its files can be had as long as it is kept."""
    lines, form = [], ["curl"]
    for one in job.parameters:
        if one.by_reference:
            file = safe_name(one.value)
            lines.append(f"  curl -o {quote(file)} {quote(f'{job_url}/parameters/{one.name}')}\n")
            form.append(f"-F {quote(f'{one.name.lower()}=@{file}')}")
        else:
            form.append(f"--form-string {quote(f'{one.name}={one.value}')}")
    form.append(f"-F PHASE=RUN {quote(job_url.rpartition('/')[0])}")
    return "".join(lines) + f"  {' '.join(form)}\n"


#: Braces end a text in DS9, and a line ends a region.
_SAFE_IN_REGIONS = {ord("{"): "(", ord("}"): ")"} | dict.fromkeys(range(32), " ")
