"""What a survey's TOML says of its lake of alerts, into a `Lake`."""

from __future__ import annotations

import re
from pathlib import Path

from surveys.errors import DeclarationError
from surveys.lake import Columns, Lake, StampKind
from surveys.toml_keys import SEGMENT, Keys

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_FIELD = re.compile(r"\{[A-Za-z][A-Za-z0-9_]*\}")
_MOST_KINDS = 8
_ORIENTATIONS = ("as-stored", "flip-x", "flip-y", "rotate-180")
#: What brokers' users write for all stamps of an alert.
_ALL = "all"


def read_lake(keys: Keys, data_folder: Path) -> Lake:
    """Take from a declaration what it says of its lake.

    Parameters
    ----------
    keys
        The whole declaration.
    data_folder
        What a relative ``root`` is relative to.

    Raises
    ------
    DeclarationError
        Naming the file, the key and what is expected.
    """
    path = keys.text("path")
    keys.template("path", path, ())
    time = keys.table("columns", required=True).table("time", required=True)
    return Lake(
        root=_root(keys, data_folder),
        path=path,
        columns=_columns(keys.table("columns"), time),
        stamps=_stamps(keys.table("stamps", required=True)),
        time_format=time.choice("format", ("jd", "mjd")),
        time_scale=time.choice("scale", ("utc", "tai")),
        orientation=keys.choice("orientation", _ORIENTATIONS) if keys.has("orientation") else "as-stored",
        stamp_radius_deg=keys.positive("stamp_radius") / 3600,
        known_as=_known_as(keys),
        storage_options=dict(keys.table("storage").content),
    )


def _root(keys: Keys, data_folder: Path) -> str:
    root = keys.text("root")
    if "://" not in root:
        return str((data_folder / root).absolute())
    url = _URL.match(root)
    if url is None or url["scheme"].lower() == "file" or not _is_plain(root[url.end() :]):
        raise keys.fault("root", "a folder, or a URL such as s3://bucket/folder or hdfs://host:8020/folder")
    return root.rstrip("/")


def _known_as(keys: Keys) -> tuple[str, ...]:
    beginnings = tuple(beginning.rstrip("/") for beginning in keys.texts("known_as", ()))
    if not all(_is_plain(_URL.sub("", beginning).lstrip("/")) for beginning in beginnings):
        raise keys.fault("known_as", "folders or URLs of folders, without empty parts, '.' or '..'")
    return beginnings


def _is_plain(path: str) -> bool:
    return not any(part in ("", ".", "..") for part in path.rstrip("/").split("/"))


def _columns(keys: Keys, time: Keys) -> Columns:
    columns = Columns(
        object=_names(keys, "object"),
        candidate=_names(keys, "candidate"),
        ra=_names(keys, "ra"),
        dec=_names(keys, "dec"),
        time=_names(time, "column"),
        band=_names(keys, "band"),
    )
    keys.has("time")
    keys.finish()
    time.choice("format", ("jd", "mjd"))
    time.choice("scale", ("utc", "tai"))
    time.finish()
    return columns


def _stamps(keys: Keys) -> tuple[StampKind, ...]:
    kinds = tuple(StampKind(name, _names(keys, name)) for name in keys.content)
    known: dict[str, str] = {}
    for kind in kinds:
        if not SEGMENT.match(kind.name) or kind.name.lower() == _ALL:
            raise keys.fault(kind.name, f"a kind named by letters, digits and . _ ~ - only, not {_ALL}")
        if (twin := known.setdefault(kind.name.lower(), kind.name)) != kind.name:
            raise DeclarationError(
                f"{keys.source}: the stamps {twin} and {kind.name} differ by case alone, "
                "as identifiers must not"
            )
    if len(kinds) > _MOST_KINDS:
        raise DeclarationError(f"{keys.source}: stamps: expected at most {_MOST_KINDS} kinds")
    return kinds


def _names(keys: Keys, key: str) -> tuple[str, ...]:
    names = tuple(keys.texts(key))
    for name in names:
        if _FIELD.fullmatch(name):
            continue
        if any(not part.strip() for part in name.split(".")) or set(name) & set("{}"):
            raise keys.fault(key, "columns, such as candidate.ra, or fields of the path, such as {year}")
    return names
