"""HiPS as they were built, and coverages as the index has them: names in, files and MOCs out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dali.caller import Caller
from dali.errors import AuthorizationError, NotFound, UsageError, quoted
from dali.parameters import Parameters, refuse_unknown
from surveys.access import Reader
from surveys.errors import SurveyError, UnknownDataset
from surveys.hips.folder import HipsFolder
from surveys.hips.geometry import ALLSKY_ORDER, TILE_PATH, tile_path
from surveys.hips.properties import format_pairs, read_properties
from surveys.index.catalog import Catalog
from surveys.index.coverage import Coverages, degraded
from surveys.survey import Survey

if TYPE_CHECKING:
    from mocpy import MOC

#: Of the list of all HiPS (HiPS 1.0, section 5.3).
STANDARD_ID = "ivo://ivoa.net/std/hips#hipslist-1.0"
TEXT, FITS, PNG, JSON = "text/plain; charset=utf-8", "application/fits", "image/png", "application/json"

MocFormat = Literal["fits", "json", "ascii"]
MOC_TYPES: dict[MocFormat, str] = {"fits": FITS, "json": JSON, "ascii": TEXT}

_COLOURS = re.compile(r"color-[A-Za-z0-9._~-]+", re.ASCII)
_OTHERS = {
    f"Norder{ALLSKY_ORDER}/Allsky.fits": FITS,
    f"Norder{ALLSKY_ORDER}/Allsky.png": PNG,
    "Moc.fits": FITS,
}
_TYPES = {"fits": FITS, "png": PNG}
#: What is repeated in the list of all HiPS.
_LISTED = (
    *("creator_did", "hips_release_date", "hips_status", "obs_title", "obs_collection", "dataproduct_type"),
    *("dataproduct_subtype", "hips_frame", "hips_order", "hips_tile_format", "hips_tile_width"),
    *("moc_sky_fraction", "em_min", "em_max", "hips_initial_ra", "hips_initial_dec", "hips_initial_fov"),
)


@dataclass(frozen=True, slots=True)
class HipsFile:
    """A file of a HiPS, to be sent; `public` is false where shared caches must not keep it."""

    path: Path
    media_type: str
    public: bool


@dataclass(frozen=True, slots=True)
class HipsText:
    """A text about HiPS."""

    text: str
    modified_s: float
    public: bool


@dataclass(frozen=True, slots=True)
class MocAnswer:
    """A coverage, written out."""

    content: bytes
    media_type: str
    etag: str
    file_name: str
    public: bool


class HipsService:
    """Knows the HiPS of this service.

    Parameters
    ----------
    root
        Folder of all of them.
    catalog, coverages
        The image index.
    reader_of
        Tells what a caller may read. A HiPS is made of all there is, and so is for those who may read all.
    """

    def __init__(
        self,
        root: Path,
        catalog: Catalog,
        coverages: Coverages,
        reader_of: Callable[[Caller], Reader],
    ) -> None:
        self._root = root
        self._catalog = catalog
        self.coverages = coverages
        self._reader_of = reader_of

    def find(self, survey: str, name: str, path: str, caller: Caller) -> HipsFile:
        """Find a file by its path below a HiPS.

        Raises
        ------
        NotFound, AuthorizationError
            If there is no such survey, HiPS or file; if it is not for the caller.
        """
        declared, folder = self._folder(survey, name, caller)
        media_type = _OTHERS.get(path)
        tile = TILE_PATH.fullmatch(path)
        if tile is not None and path == tile_path(int(tile["order"]), int(tile["tile"]), tile["extension"]):
            media_type = _TYPES[tile["extension"]]
        file = folder / path
        # Nothing but names of our own comes this far; a link may lead elsewhere nevertheless.
        if media_type is None or not file.is_file() or not _is_below(file, self._root):
            raise NotFound(
                f"the HiPS of {declared.name}/{folder.name} has no {quoted(path)}",
                "Its tiles are Norder<k>/Dir<d>/Npix<n>.png and .fits inside its coverage, Moc.fits.",
            )
        return HipsFile(file, media_type, declared.is_public)

    def properties(self, survey: str, name: str, base_url: str, caller: Caller) -> HipsText:
        """Describe a HiPS, with the URL where it is served.

        Raises
        ------
        NotFound, AuthorizationError
            As of `find`.
        """
        declared, folder = self._folder(survey, name, caller)
        file = folder / "properties"
        text = file.read_text(encoding="utf-8")
        url = format_pairs([("hips_service_url", _url(base_url, declared, folder))])
        return HipsText(text + url, file.stat().st_mtime, declared.is_public)

    def listing(self, base_url: str, caller: Caller) -> HipsText:
        """List all HiPS that the caller may read (HiPS 1.0, section 5.2)."""
        records, modified, public = [], 0.0, True
        for survey, folder in self._published(self._reader_of(caller)):
            file = folder / "properties"
            known = read_properties(file.read_text(encoding="utf-8"))
            pairs = [(key, known[key]) for key in _LISTED if key in known]
            records.append(format_pairs([*pairs, ("hips_service_url", _url(base_url, survey, folder))]))
            modified, public = max(modified, file.stat().st_mtime), public and survey.is_public
        return HipsText("\n".join(records), modified, public)

    def names(self, survey: Survey, caller: Caller) -> list[str]:
        """List the HiPS of a survey that the caller may read: labels of bands, and ``color-…``."""
        reader = self._reader_of(caller)
        return [folder.name for one, folder in self._published(reader) if one.name == survey.name]

    def moc(
        self, survey: str, band: str | None, parameters: Parameters, accepted: MocFormat, caller: Caller
    ) -> MocAnswer:
        """Write the coverage of a survey or a band: of all of its images, whoever may read these.

        Parameters
        ----------
        parameters
            ORDER, the deepest of its cells, and FORMAT.
        accepted
            The format where none is asked for.

        Raises
        ------
        UsageError
            If a parameter is wrong.
        NotFound, AuthorizationError
            As of `find`.
        """
        for fault in refuse_unknown(parameters, frozenset({"ORDER", "FORMAT"}), ("ORDER", "FORMAT")):
            raise fault
        declared = self._survey(survey, self._reader_of(caller))
        try:
            label = None if band is None else declared.band(band).label
            moc = self.coverages.of(declared.name, label)
        except UnknownDataset as fault:
            raise NotFound(str(fault)) from fault
        chosen = _format(parameters.one("FORMAT")) or accepted
        order = _order(parameters.one("ORDER"), moc.max_order)
        dataset = declared.name if label is None else f"{declared.name}/{label}"
        facts = (dataset, self._catalog.generation(declared.name), order, chosen)
        return MocAnswer(
            _written(degraded(moc, order), chosen),
            MOC_TYPES[chosen],
            hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest(),
            f"{dataset.replace('/', '-')}-moc{order}.{'txt' if chosen == 'ascii' else chosen}",
            declared.is_public,
        )

    def _survey(self, name: str, reader: Reader) -> Survey:
        try:
            survey = self._catalog.survey(name)
        except UnknownDataset as fault:
            open_to = [one for one in self._catalog.surveys if one.access.may_enter(reader)]
            known = ", ".join(one.name for one in open_to)
            raise NotFound(str(fault), f"There are {known}." if known else "") from fault
        if not survey.access.may_enter(reader):
            raise AuthorizationError(f"the survey {survey.name} is not open to you")
        return survey

    def _folder(self, survey: str, name: str, caller: Caller) -> tuple[Survey, Path]:
        reader = self._reader_of(caller)
        declared = self._survey(survey, reader)
        if not declared.access.may_read_all(reader):
            raise AuthorizationError(f"some images of {declared.name} are not open to you, nor are its HiPS")
        labels = [band.label for band in declared.bands]
        found = next((label for label in labels if label.lower() == name.lower()), None)
        if found is None and _COLOURS.fullmatch(name):
            found = name
        folder = None if found is None else self._published_folder(declared, found)
        if folder is None:
            there = ", ".join(path.name for other, path in self._published(reader) if other is declared)
            raise NotFound(
                f"{declared.name} has no HiPS {quoted(name)}",
                f"It has {there}." if there else "None of it is built yet.",
            )
        return declared, folder

    def _published_folder(self, survey: Survey, name: str) -> Path | None:
        try:
            folder = HipsFolder(self._root, survey.name, name).published
        except SurveyError:
            return None
        return folder if (folder / "properties").is_file() else None

    def _published(self, reader: Reader) -> Iterator[tuple[Survey, Path]]:
        for survey in self._catalog.surveys:
            place = self._root / survey.name
            if not survey.access.may_read_all(reader) or not place.is_dir():
                continue
            labels = {band.label for band in survey.bands}
            for folder in sorted(place.iterdir()):
                is_named = folder.name in labels or _COLOURS.fullmatch(folder.name)
                if is_named and (folder / "properties").is_file():
                    yield survey, folder


def _url(base_url: str, survey: Survey, folder: Path) -> str:
    return f"{base_url}/hips/{survey.name}/{folder.name}"


def _is_below(file: Path, root: Path) -> bool:
    return file.resolve().is_relative_to(root.resolve())


def _format(asked: str | None) -> MocFormat | None:
    match None if asked is None else asked.lower():
        case None:
            return None
        case "fits" | "application/fits" | "image/fits":
            return "fits"
        case "json" | "application/json":
            return "json"
        case "ascii" | "text" | "text/plain":
            return "ascii"
    raise UsageError(f"FORMAT is fits, json or ascii; got {quoted(asked or '')}", "Write format=fits.")


def _order(asked: str | None, deepest: int) -> int:
    if asked is None:
        return deepest
    if not re.fullmatch(r"[0-9]{1,2}", asked, re.ASCII) or int(asked) > deepest:
        raise UsageError(
            f"ORDER is from 0 to {deepest}, as deep as this coverage goes; got {quoted(asked)}",
            f"Write order={deepest}.",
        )
    return int(asked)


def _written(moc: MOC, chosen: MocFormat) -> bytes:
    if chosen == "json":
        return json.dumps(moc.serialize("json")).encode()
    if chosen == "ascii":
        return f"{moc.to_string('ascii').strip()}\n".encode()
    content = BytesIO()
    # Cells by their numbers, as MOC 1.1 has them and 2.0 still allows: more clients read that.
    moc.serialize("fits", v1_compatible=True).writeto(content)
    return content.getvalue()
