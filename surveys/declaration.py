"""A survey's TOML file into a `Survey`: everything checked, nothing guessed.

The keys are described in the examples of ``config/surveys/examples``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from surveys.access import parse_access
from surveys.errors import DeclarationError
from surveys.fits.header import STRUCTURE
from surveys.lake_declaration import read_lake
from surveys.recipe import Recipe, read_recipes
from surveys.survey import (
    ALL_HDUS,
    FIRST_HDU,
    Band,
    CardValue,
    Layer,
    Nodata,
    Prefer,
    Publisher,
    Role,
    Survey,
    TimeCards,
    Unique,
    UniqueBorder,
    UniqueCards,
    UniqueTable,
    Zeropoint,
)
from surveys.template import BAND
from surveys.toml_keys import SEGMENT, Keys, is_card

_POL_STATES = ("I", "Q", "U", "V", "RR", "LL", "RL", "LR", "XX", "YY", "XY", "YX")


def read_surveys(folder: Path, data_folder: Path) -> tuple[Survey, ...]:
    """Read every ``*.toml`` of a folder, in the order of their names.

    Raises
    ------
    DeclarationError
        If one is wrong, or two surveys have names that differ by case alone.
    """
    surveys = tuple(read_survey(path, data_folder) for path in sorted(folder.glob("*.toml")))
    _refuse_twins(folder.name, "survey", (survey.name for survey in surveys))
    return surveys


def read_survey(path: Path, data_folder: Path) -> Survey:
    """Read one declaration.

    Parameters
    ----------
    path
        The TOML file; its stem is the survey's name unless it says ``name``.
    data_folder
        What a relative ``root`` is relative to.

    Raises
    ------
    DeclarationError
        Naming the file, the key and what is expected.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path.name} is not valid TOML: {error}") from error
    return parse_survey(content, path.name, path.stem, data_folder)


def parse_survey(content: Mapping[str, Any], source: str, name: str, data_folder: Path) -> Survey:
    """Make a `Survey` of a declaration already read; `source` and `name` as `read_survey` gives them."""
    keys = Keys(dict(content), source)
    kind = keys.choice("kind", ("coadd", "exposures", "alerts"))
    if kind == "alerts":
        return _alerts(keys, name, data_folder)
    bands = _bands(keys.table("bands", required=True), _band_defaults(keys))
    dataset = keys.optional("dataset", keys.text)
    survey = Survey(
        name=keys.segment("name", name),
        title=keys.text("title"),
        kind=kind,
        roots=tuple(data_folder / root for root in keys.texts("root")),
        bands=bands,
        layers=_layers(keys.table("layers", required=True), bands),
        pixel_scale_arcsec=(
            keys.positive("pixel_scale") if kind == "coadd" else keys.optional("pixel_scale", keys.positive)
        ),
        calib_level=keys.whole("calib_level", 3 if kind == "coadd" else 2, 0, 4),
        dataset=None if dataset is None else keys.template("dataset", dataset, ()),
        band_card=keys.optional("band_card", keys.card),
        unique=_unique(keys),
        prefer=_prefer(keys),
        fix=_fix(keys.table("fix")),
        linearise=keys.optional("linearise", lambda key: keys.choice(key, ("asinh",))),
        time=_time(keys.table("time")),
        pol_states=tuple(keys.texts("pol_states", ())),
        overviews=_overviews(keys),
        access=parse_access(keys),
        recipes=_recipes(keys, bands),
        **_words(keys),
    )
    keys.finish()
    _check_whole(survey, keys)
    return survey


def _alerts(keys: Keys, name: str, data_folder: Path) -> Survey:
    bands = _bands(keys.table("bands", required=True), {})
    lake = read_lake(keys, data_folder)
    survey = Survey(
        name=keys.segment("name", name),
        title=keys.text("title"),
        kind="alerts",
        roots=() if lake.is_remote else (Path(lake.root),),
        bands=bands,
        layers=(),
        pixel_scale_arcsec=keys.optional("pixel_scale", keys.positive),
        calib_level=keys.whole("calib_level", 2, 0, 4),
        fix=_fix(keys.table("fix")),
        access=parse_access(keys, "alert/"),
        recipes=_recipes(keys, bands),
        lake=lake,
        **_words(keys),
    )
    keys.finish()
    return survey


def _words(keys: Keys) -> dict[str, Any]:
    """Take what is said of a survey of any kind."""
    return {
        "description": keys.text("description", ""),
        "credit": keys.text("credit", ""),
        "publisher": _publisher(keys.table("publisher")),
        "obs_collection": keys.text("obs_collection", keys.text("title")),
        "facility_name": keys.text("facility_name", ""),
        "instrument_name": keys.text("instrument_name", ""),
    }


def _recipes(keys: Keys, bands: tuple[Band, ...]) -> tuple[Recipe, ...]:
    return read_recipes(
        keys.table("recipes"),
        tuple(band.label for band in bands),
        all(band.zeropoint is not None for band in bands),
    )


def _overviews(keys: Keys) -> tuple[int, ...]:
    factors = keys.take("overviews", [])
    expected = "whole numbers from 2 to 1024, each a multiple of the one before, such as [8, 64]"
    if not isinstance(factors, list) or any(
        not isinstance(factor, int) or isinstance(factor, bool) or not 2 <= factor <= 1024
        for factor in factors
    ):
        raise keys.fault("overviews", expected)
    if any(large % small or large == small for small, large in pairwise(factors)):
        raise keys.fault("overviews", expected)
    return tuple(factors)


def _band_defaults(keys: Keys) -> dict[str, Any]:
    """Photometry said once for all bands; a band may say otherwise."""
    shared = ("zeropoint", "pixel_value", "background", "nodata")
    return {key: keys.take(key) for key in shared if keys.has(key)}


def _bands(keys: Keys, defaults: Mapping[str, Any]) -> tuple[Band, ...]:
    bands = tuple(_band(label, keys.table(label), defaults, keys) for label in keys.content)
    _refuse_twins(keys.source, "band", (band.label for band in bands))
    words: dict[str, str] = {}
    for band in bands:
        for word in band.words:
            if words.setdefault(word, band.label) != band.label:
                raise DeclarationError(
                    f"{keys.source}: bands.{band.label}.word: expected a word of its own, {word!r} is one of "
                    f"{words[word]} too"
                )
    return bands


def _band(label: str, keys: Keys, defaults: Mapping[str, Any], parent: Keys) -> Band:
    if not SEGMENT.match(label):
        raise parent.fault(label, "a band label of letters, digits and . _ ~ - only")
    keys.content = {**defaults, **keys.content}
    band = Band(
        label=label,
        em_min_m=keys.positive("em_min_m"),
        em_max_m=keys.positive("em_max_m"),
        words=tuple(keys.texts("word", (label,))),
        zeropoint=_zeropoint(keys),
        pixel_value=keys.optional(
            "pixel_value", lambda key: keys.choice(key, ("flux", "surface-brightness"))
        ),
        background=keys.optional("background", lambda key: keys.choice(key, ("subtracted", "present"))),
        nodata=_nodata(keys),
    )
    if band.em_min_m >= band.em_max_m or band.em_max_m > 1e3:
        raise keys.fault("em_max_m", "a wavelength in metres above em_min_m")
    keys.finish()
    return band


def _zeropoint(keys: Keys) -> Zeropoint | None:
    if not keys.has("zeropoint"):
        return None
    if not isinstance(keys.content["zeropoint"], dict):
        return Zeropoint(constant=keys.number("zeropoint"))
    table = keys.table("zeropoint")
    if table.has("card") == table.has("constant"):
        raise keys.fault("zeropoint", "a number, {card = …} or {constant = …, exptime = true}")
    zeropoint = Zeropoint(
        constant=table.optional("constant", table.number),
        card=table.optional("card", table.card),
        exptime=table.truth("exptime", False),
    )
    table.finish()
    return zeropoint


def _nodata(keys: Keys) -> Nodata | None:
    if not keys.has("nodata"):
        return None
    value = keys.content["nodata"]
    if value == "nan":
        return Nodata(value=math.nan)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Nodata(value=keys.number("nodata"))
    if value == {"weight": 0}:
        return Nodata(weight_zero=True)
    if isinstance(value, dict) and set(value) == {"mask_bits"}:
        return Nodata(mask_bits=keys.table("nodata").whole("mask_bits", lowest=1))
    raise keys.fault("nodata", '"nan", a number, {weight = 0} or {mask_bits = …}')


def _layers(keys: Keys, bands: tuple[Band, ...]) -> tuple[Layer, ...]:
    words = tuple(word for band in bands for word in band.words)
    image = _layer("image", keys.table("image", required=True), words, None)
    others = [
        _layer(role, keys.table(role), words, image)
        for role in cast(tuple[Role, ...], ("weight", "mask", "psf"))
        if keys.has(role)
    ]
    keys.finish()
    return (image, *others)


def _layer(role: Role, keys: Keys, words: tuple[str, ...], image: Layer | None) -> Layer:
    own_files = image is None or keys.has("path")
    path = keys.template("path", keys.text("path"), words) if own_files else cast(Layer, image).path
    if not own_files:
        keys.known.add("path")
        keys.take("hdu")
    hdu = keys.take("hdu", FIRST_HDU)
    if (
        isinstance(hdu, bool)
        or not isinstance(hdu, int | str)
        or hdu == ""
        or (isinstance(hdu, int) and hdu < 0)
    ):
        raise keys.fault("hdu", 'the number or name of an HDU, "first" or "all"')
    if image is not None and (hdu == ALL_HDUS) != (image.hdu == ALL_HDUS):
        raise keys.fault("hdu", '"all" for the image and its other layers, or for none of them')
    layer = Layer(
        role=role,
        path=path,
        hdu=hdu,
        own_files=own_files,
        weight=(
            keys.choice("meaning", ("invvar", "variance", "stddev", "relative")) if role == "weight" else None
        ),
        bits=_bits(keys) if role == "mask" else {},
        good=keys.whole("good", 0) if role == "mask" else 0,
    )
    keys.finish()
    if image is not None and own_files:
        _check_link(keys, layer, image)
    return layer


def _check_link(keys: Keys, layer: Layer, image: Layer) -> None:
    """Check that the fields of both paths join a layer in files of its own to its image."""
    fields = set(layer.path.fields)
    if not fields - {BAND} or not fields <= set(image.path.fields):
        raise keys.fault(
            "path", f"a template whose fields are among those of the image: {', '.join(image.path.fields)}"
        )


def _bits(keys: Keys) -> dict[str, int]:
    table = keys.table("bits")
    return {name: table.whole(name, lowest=0, highest=63) for name in table.content}


def _unique(keys: Keys) -> Unique | None:
    if not keys.has("unique"):
        return None
    table = keys.table("unique")
    limits = ("ra_min", "ra_max", "dec_min", "dec_max")
    unique: Unique
    if table.has("border"):
        unique = UniqueBorder(table.whole("border", lowest=0))
    elif table.has("table"):
        columns = ("region",) if table.has("region") else limits
        unique = UniqueTable(
            path=table.text("table"),
            key=table.text("key"),
            field=table.text("field"),
            columns=tuple(table.text(column) for column in columns),
        )
    else:
        unique = UniqueCards(*(table.card(limit) for limit in limits))
    table.finish()
    return unique


def _prefer(keys: Keys) -> Prefer | None:
    if not keys.has("prefer"):
        return None
    table = keys.table("prefer")
    prefer = Prefer(table.text("field"), table.choice("order", ("highest", "lowest")))
    table.finish()
    return prefer


def _fix(keys: Keys) -> dict[str, CardValue]:
    for key, value in keys.content.items():
        if not is_card(key) or STRUCTURE.fullmatch(key):
            raise keys.fault(key, "a FITS card that says nothing of how the file is stored")
        if not _is_card_value(value):
            raise keys.fault(key, "a text in ASCII, a finite number, true or false")
    return dict(keys.content)


def _is_card_value(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() and (value.isprintable() or not value)
    return isinstance(value, int | float) and math.isfinite(value)


def _time(keys: Keys) -> TimeCards:
    time = TimeCards(**{key: keys.optional(key, keys.card) for key in ("t_min", "t_max", "exptime")})
    keys.finish()
    return time


def _publisher(keys: Keys) -> Publisher:
    publisher = Publisher(**{key: keys.text(key, "") for key in Publisher.__dataclass_fields__})
    keys.finish()
    return publisher


def _check_whole(survey: Survey, keys: Keys) -> None:
    """Check what only the declaration as a whole can break."""
    fields = survey.image.path.fields
    if len(survey.bands) > 1 and BAND not in fields and survey.band_card is None:
        raise keys.fault("layers.image.path", "a {band} in the path, or the key band_card")
    if survey.dataset is not None and not set(survey.dataset.fields) <= {*fields, "stem"}:
        raise keys.fault("dataset", f"fields of the image's path: {', '.join(('stem', *fields))}")
    if survey.dataset is not None and "*" in survey.dataset.text:
        raise keys.fault("dataset", "a template without *")
    if survey.prefer is not None and survey.prefer.field not in fields:
        raise keys.fault("prefer", f"a field of the image's path: {', '.join(fields)}")
    if isinstance(survey.unique, UniqueTable) and survey.unique.field not in fields:
        raise keys.fault("unique", f"field = a field of the image's path: {', '.join(fields)}")
    for band in survey.bands:
        role = "weight" if band.nodata and band.nodata.weight_zero else "mask"
        if band.nodata and band.nodata.value is None and survey.layer(cast(Role, role)) is None:
            raise keys.fault("nodata", f"a layer {role} to tell pixels without data")
    for state in survey.pol_states:
        if state not in _POL_STATES:
            raise keys.fault("pol_states", f"polarization states among {' '.join(_POL_STATES)}")


def _refuse_twins(source: str, what: str, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (twin := seen.setdefault(name.lower(), name)) != name:
            raise DeclarationError(
                f"{source}: the {what}s {twin} and {name} differ by case alone, as identifiers must not"
            )
