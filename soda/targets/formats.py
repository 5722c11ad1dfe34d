"""Which format a file has: its content says so; its name and media type only where that does not."""

from __future__ import annotations

import re
from itertools import chain, islice
from pathlib import Path

from soda.targets.source import Source
from soda.targets.table import TargetLimits, UploadRefused

_LOOKED_AT = 4096
_BOM = b"\xef\xbb\xbf"
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
    b"Rar!": "rar",
}
_OTHER = {
    b"\x89HDF": "HDF5",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel",
    b"%PDF": "PDF",
    b"SQLite format": "SQLite",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"{\\rtf": "a text document",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_TAKEN = "Targets are CSV, TSV or other text, VOTable, FITS, ECSV, JSON lines, DS9 regions or Parquet."
_REGIONS = re.compile(rb"# Region file format: DS9", re.IGNORECASE)
#: What an IPAC table has in its second line, between bars.
_IPAC_TYPES = frozenset(b"c char d double f float r real i int integer l long date".split())
_CONTROLS = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27})


def open_source(path: Path, file_name: str, media_type: str, limits: TargetLimits) -> Source:
    """Open a file as what it is.

    Raises
    ------
    UploadRefused
        If it is nothing that has targets.

    Notes
    -----
    Readers are imported when one is needed: that of FITS takes astropy.
    """
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    _refuse_others(start)
    if start.startswith(b"SIMPLE  ="):
        from soda.targets.fitstable import FitsSource

        return FitsSource(path, limits)
    if start.startswith(b"PAR1"):
        from soda.targets.parquet import ParquetSource

        return ParquetSource(path, limits)
    return _open_text(path, start, file_name, media_type, limits)


def _open_text(path: Path, start: bytes, file_name: str, media_type: str, limits: TargetLimits) -> Source:
    _refuse_binary(start)
    text = start.removeprefix(_BOM).lstrip()
    if text.startswith(b"<"):
        if re.match(rb"<(?:!doctype\s+)?html", text, re.IGNORECASE):
            raise UploadRefused("the file is a web page, and no table", _TAKEN)
        from soda.targets.votable import VOTableSource

        return VOTableSource(path, limits)
    if _is_ipac(text):
        raise UploadRefused(
            "the file is an IPAC table, which is not read here",
            "Save it as VOTable or CSV: IRSA offers both, and astropy converts it.",
        )
    if text.startswith((b"{", b"[")):
        from soda.targets.jsonrows import JsonSource

        return JsonSource(path, limits)
    if text.startswith(b"# %ECSV"):
        from soda.targets.ecsv import EcsvSource

        return EcsvSource(path, limits)
    if _REGIONS.match(text) or file_name.lower().endswith(".reg"):
        from soda.targets.regions import RegionSource

        return RegionSource(path, limits)
    from soda.targets.text import TextSource

    return TextSource(path, limits, file_name=file_name, media_type=media_type)


def _refuse_others(start: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise UploadRefused(f"the file is compressed ({name})", "Send it uncompressed.")
    if start.startswith(b"PK"):
        raise UploadRefused(
            "the file is a zip archive or a spreadsheet (xlsx, ods)",
            "Send it uncompressed; a spreadsheet, exported as CSV.",
        )
    for magic, name in _OTHER.items():
        if start.startswith(magic):
            raise UploadRefused(f"the file is {name}, which is not read here", _TAKEN)


def _refuse_binary(start: bytes) -> None:
    if start.startswith(_UTF_16) or _looks_utf_16(start):
        raise UploadRefused("the file is UTF-16 or UTF-32 text", "Save it as UTF-8.", line=1)
    if not start.removeprefix(_BOM).strip():
        raise UploadRefused(
            "the file is empty" if len(start) < _LOOKED_AT else "the file begins with blanks alone"
        )
    first_line = start.lstrip().partition(b"\n")[0]
    if b"\0" in start or first_line.translate(None, _CONTROLS) != first_line:
        raise UploadRefused("the file is binary, and of no format known here", _TAKEN)


def _is_ipac(start: bytes) -> bool:
    """Whether lines of names and of types stand between bars, after keywords behind backslashes."""
    lines = (line.strip() for line in start.splitlines())
    names, types = islice((line for line in chain(lines, (b"", b"")) if line[:1] != b"\\"), 2)
    words = types.strip(b"|").lower().split(b"|")
    return names[:1] == types[:1] == b"|" and all(word.strip() in _IPAC_TYPES for word in words)


def _looks_utf_16(start: bytes) -> bool:
    """Whether every other byte is NUL, as in UTF-16 of plain letters."""
    part = start[:64]
    half = len(part) // 2
    return half > 1 and (part[1::2].count(0) >= half - 1 or part[::2].count(0) >= half - 1) and any(part)
