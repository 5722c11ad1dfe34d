"""Uploaded files, made on the spot."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from soda.targets import ColumnMapping, TargetLimits, TargetTable, parse_mapping, read_targets

#: Limits that a test reaches in no time.
SMALL = TargetLimits(rows=1000, bytes=12 * 1024 * 1024, columns=50)


def read(
    path: Path,
    content: bytes | str | None = None,
    columns: str = "",
    *,
    media_type: str = "",
    limits: TargetLimits = SMALL,
) -> TargetTable:
    """Read a file, of this content if that is given."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    mapping = parse_mapping([columns]) if columns else ColumnMapping()
    return read_targets(path, path.name, media_type, mapping, limits)


def votable(
    data: str,
    fields: str = '<FIELD name="ra" datatype="double" ucd="pos.eq.ra;meta.main" unit="deg"/>'
    '<FIELD name="dec" datatype="double" ucd="pos.eq.dec;meta.main" unit="deg"/>',
    *,
    before: str = "",
    table: str = "",
) -> bytes:
    """Document of one table."""
    return (
        f'<?xml version="1.0"?>\n{before}<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        f"<RESOURCE><TABLE {table}>{fields}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"
    ).encode()


def rows(*values: tuple[object, ...]) -> str:
    """TABLEDATA of some rows."""
    lines = "\n".join("<TR>" + "".join(f"<TD>{value}</TD>" for value in row) + "</TR>" for row in values)
    return f"<TABLEDATA>\n{lines}\n</TABLEDATA>"


def stream(content: bytes, kind: str = "BINARY") -> str:
    """BINARY of some bytes."""
    return f'<{kind}><STREAM encoding="base64">{b64encode(content).decode()}</STREAM></{kind}>'


def doubles(*values: float) -> bytes:
    return struct.pack(f">{len(values)}d", *values)


def cards(*values: tuple[str, object]) -> bytes:
    """FITS header of these cards, just as they are said."""
    lines = []
    for key, value in values:
        shown = f"{value:>20}" if not isinstance(value, str) or value in "TF" else f"'{value:8}'"
        lines.append(f"{key:8}= {shown}".ljust(80))
    text = "".join([*lines, "END".ljust(80)])
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


PRIMARY = cards(("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", "T"))


def fits_table(
    forms: Sequence[tuple[str, str]] = (("ra", "D"), ("dec", "D")),
    data: bytes = b"",
    width: int = 16,
    count: int = 1,
    *more: tuple[str, object],
    heap: int = 0,
) -> bytes:
    """FITS file of a binary table whose header says what is given."""
    described = [
        card
        for number, (name, form) in enumerate(forms, 1)
        for card in ((f"TTYPE{number}", name), (f"TFORM{number}", form))
    ]
    header = cards(
        ("XTENSION", "BINTABLE"),
        ("BITPIX", 8),
        ("NAXIS", 2),
        ("NAXIS1", width),
        ("NAXIS2", count),
        ("PCOUNT", heap),
        ("GCOUNT", 1),
        ("TFIELDS", len(forms)),
        *described,
        *more,
    )
    return PRIMARY + header + data.ljust(-(-len(data) // 2880) * 2880, b"\0")
