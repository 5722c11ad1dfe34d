"""One table in every format is one table of targets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from soda.targets import ColumnMapping, TargetTable, UploadRefused, read_targets
from tests.soda.targets.support import PRIMARY, SMALL, fits_table, read, rows, votable

IDS = ["NGC 1", "a/b", "=1+1", "ﷺ ‮abc", "Θ Ori", "1234567890123456789", "x" * 255]
COUNT = len(IDS)
RA = np.linspace(0.1, 359.9, COUNT)
DEC = np.linspace(-89.9, 89.9, COUNT)


@pytest.fixture(scope="module")
def plain() -> Table:
    """Table with names, positions, settings, and columns that are of no interest."""
    table = Table(
        {
            "id": IDS,
            "RA": RA,
            "Dec": DEC,
            "survey": ["demo"] * COUNT,
            "size": np.full(COUNT, 30.0),
            "bands": MaskedColumn(["g,r"] * COUNT, mask=[number == 2 for number in range(COUNT)]),
            "mag": np.arange(COUNT),
        }
    )
    table["RA"].unit = table["Dec"].unit = "deg"
    table["size"].unit = "arcsec"
    return table


def check(table: TargetTable, sizes: str = "30arcsec", *, ids: list[str] = IDS) -> None:
    assert table.ids == ids
    assert table.ra_deg.tolist() == RA.tolist()
    assert table.dec_deg.tolist() == DEC.tolist()
    assert table.numbers.tolist() == list(range(1, COUNT + 1))
    assert table.settings == {
        "survey": ["demo"] * COUNT,
        "bands": ["g,r", "g,r", "", *["g,r"] * (COUNT - 3)],
        "size": [sizes] * COUNT,
    }
    assert table.columns == {
        "ra": "RA",
        "dec": "Dec",
        "id": "id",
        "survey": "survey",
        "bands": "bands",
        "size": "size",
    }
    assert set(table.found_by.values()) == {"name"}
    assert [fault for fault in table.faults if not fault.is_warning] == []
    assert table.rejected == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
def test_text(plain: Table, tmp_path: Path, delimiter: str) -> None:
    plain.write(tmp_path / "made", format="ascii.basic", delimiter=delimiter, fill_values=[("--", '""')])
    made = (tmp_path / "made").read_text(encoding="utf-8")
    for ends in ("\n", "\r\n", "\r"):
        for start, first in (("", 2), ("\ufeff", 2), ("# a comment\n\n#\n", 5)):
            table = read(tmp_path / "list.txt", (start + made).replace("\n", ends))
            check(table, "30.0")
            assert table.lines.tolist() == list(range(first, first + COUNT))


@pytest.mark.parametrize("kind", ["tabledata", "binary", "binary2"])
def test_votable(plain: Table, tmp_path: Path, kind: str) -> None:
    # The masked value of astropy is "" there.
    plain.write(tmp_path / "list.vot", format="votable", tabledata_format=kind)
    check(read(tmp_path / "list.vot"))


def test_fits(plain: Table, tmp_path: Path) -> None:
    named = plain.copy()
    ids = [name.encode("ascii", "replace").decode() for name in IDS]  # FITS has ASCII alone
    named["id"] = ids
    named.filled("").write(tmp_path / "list.fits")
    check(read(tmp_path / "list.fits"), ids=ids)


def test_fits_of_text(tmp_path: Path) -> None:
    from astropy.io import fits

    columns = [
        fits.Column("id", "A10", array=["NGC 1", "b"], ascii=True),
        fits.Column("ra", "F20.8", array=[10.5, 20.25], ascii=True, unit="deg"),
        fits.Column("dec", "F20.8", array=[-10.5, 20.25], ascii=True, unit="deg"),
    ]
    fits.HDUList([fits.PrimaryHDU(np.zeros((5, 7))), fits.TableHDU.from_columns(columns)]).writeto(
        tmp_path / "list.fits"
    )
    table = read(tmp_path / "list.fits")
    assert (table.ids, table.ra_deg.tolist(), table.dec_deg.tolist()) == (
        ["NGC 1", "b"],
        [10.5, 20.25],
        [-10.5, 20.25],
    )


@pytest.mark.parametrize("delimiter", [" ", ","])
def test_ecsv(plain: Table, tmp_path: Path, delimiter: str) -> None:
    plain.write(tmp_path / "list.ecsv", delimiter=delimiter)
    check(read(tmp_path / "list.ecsv"))


def test_ecsv_of_quantities_and_of_coordinates(tmp_path: Path) -> None:
    sky = SkyCoord([10.5, 20.25], [-10.5, 20.25], unit="deg")
    quantities = QTable({"ra": sky.ra.rad * u.rad, "dec": sky.dec.rad * u.rad, "id": ["a", "b"]})
    quantities.write(tmp_path / "quantities.ecsv")
    assert "*id001" in (tmp_path / "quantities.ecsv").read_text()
    QTable({"coord": sky, "id": ["a", "b"]}).write(tmp_path / "sky.ecsv")
    for name in ("quantities", "sky"):
        table = read(tmp_path / f"{name}.ecsv")
        assert table.ids == ["a", "b"]
        np.testing.assert_allclose(table.ra_deg, [10.5, 20.25], rtol=1e-14)
        np.testing.assert_allclose(table.dec_deg, [-10.5, 20.25], rtol=1e-14)


@pytest.mark.parametrize("form", ["lines", "array", "pretty", "one line"])
def test_json(plain: Table, tmp_path: Path, form: str) -> None:
    objects = [
        {
            "id": str(row["id"]),
            "RA": float(row["RA"]),
            "Dec": float(row["Dec"]),
            "survey": "demo",
            "bands": None if row["bands"] is np.ma.masked else ["g", "r"],
            "size": "30arcsec",
            "nested": [{"a": 1}],
        }
        for row in plain
    ]
    written = {
        "lines": "\n".join(map(json.dumps, objects)),
        "array": json.dumps(objects),
        "pretty": json.dumps(objects, indent=1),
        "one line": " ".join(map(json.dumps, objects)),
    }[form]
    table = read(tmp_path / "list.json", written)
    check(table)
    if form in ("lines", "array"):
        assert table.lines.tolist() == (list(range(1, COUNT + 1)) if form == "lines" else [1] * COUNT)


def test_json_larger_than_what_is_looked_at(tmp_path: Path) -> None:
    filler = "é" * 5000
    lines = [json.dumps({"ra": n / 10, "dec": 1, "x": filler}, ensure_ascii=False) for n in range(400)]
    table = read(tmp_path / "list.jsonl", "\n\n".join(lines))
    assert table.ra_deg.tolist() == [n / 10 for n in range(400)]
    assert table.lines.tolist() == list(range(1, 800, 2))


def test_numbers_as_names_keep_their_digits(tmp_path: Path) -> None:
    ids = np.array([1234567890123456789, -9223372036854775808, 9007199254740993])
    table = Table({"id": ids, "ra": [1.0, 2, 3], "dec": [1.0, 2, 3]})
    texts = [str(value) for value in ids.tolist()]
    for name, written in (
        ("a.fits", {}),
        ("b.vot", {"format": "votable"}),
        ("c.vot", {"format": "votable", "tabledata_format": "binary2"}),
        ("d.ecsv", {}),
        ("e.csv", {}),
    ):
        table.write(tmp_path / name, **written)
        assert read(tmp_path / name).ids == texts
    lines = "".join(f'{{"id": {text}, "ra": 1.50, "dec": 2}}\n' for text in texts)
    assert read(tmp_path / "f.jsonl", lines).ids == texts


def test_unsigned_numbers_of_fits(tmp_path: Path) -> None:
    ids = np.array([2**64 - 1, 7], dtype=np.uint64)
    Table({"id": ids, "ra": [1.0, 2], "dec": [1.0, 2]}).write(tmp_path / "list.fits")
    assert read(tmp_path / "list.fits").ids == ["18446744073709551615", "7"]


TOPCAT = """<?xml version='1.0'?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<!--
 !  VOTable written by a desktop program
 !-->
<RESOURCE>
<COOSYS ID="icrs" system="ICRS" epoch="J2016.0"/>
<TIMESYS ID="tcb" timescale="TCB" refposition="BARYCENTER"/>
<TABLE name="gaia" nrows="3">
<DESCRIPTION>A crossmatch</DESCRIPTION>
<PARAM name="note" datatype="char" arraysize="*" value="x"/>
<FIELD ID="source_id" name="source_id" datatype="long" ucd="meta.id;meta.main"><VALUES null="0"/></FIELD>
<FIELD name="ra_error" datatype="float" ucd="stat.error;pos.eq.ra" unit="mas"/>
<FIELD name="ALPHA" datatype="double" ucd="pos.eq.ra;meta.main" unit="deg" ref="icrs"/>
<FIELD name="DELTA" datatype="double" ucd="pos.eq.dec;meta.main" unit="deg" ref="icrs"/>
<FIELD name="designation" datatype="char" arraysize="*"/>
<FIELD name="flags" datatype="bit" arraysize="11"/>
<FIELD name="good" datatype="boolean"/>
<FIELD name="radius" datatype="float" unit="arcmin"/>
<FIELD name="label" datatype="unicodeChar" arraysize="4"/>
<DATA>
<BINARY2>
<STREAM encoding='base64'>
%s
</STREAM>
</BINARY2>
</DATA>
</TABLE>
</RESOURCE>
</VOTABLE>
"""


def test_a_votable_as_desktop_programs_write_it(tmp_path: Path) -> None:
    import struct
    from base64 import encodebytes

    def row(flags: int, source: int, ra: float, dec: float, name: bytes, radius: float) -> bytes:
        return (
            struct.pack(">H", flags)
            + struct.pack(">qfdd", source, 0.1, ra, dec)
            + struct.pack(">I", len(name))
            + name
            + b"\xff\xe0T"
            + struct.pack(">f", radius)
            + "µ12 ".encode("utf-16-be")
        )

    content = (
        row(0, 4295806720, 44.99, 0.005, b"Gaia DR3 4295806720", 0.1)
        + row(0b0000_0001_0000_0000, 34361129088, 45.0, -0.01, b"", float("nan"))
        + row(0b1001_0000_0000_0000, 38655544960, 45.1, 0.02, b"x", 2.5)
    )
    table = read(tmp_path / "gaia.vot", TOPCAT % encodebytes(content).decode())
    assert table.ids == ["4295806720", "34361129088", ""]
    assert table.columns == {"ra": "ALPHA", "dec": "DELTA", "id": "source_id", "radius": "radius"}
    assert table.found_by == {"ra": "ucd", "dec": "ucd", "id": "ucd", "radius": "name"}
    assert table.ra_deg[:2].tolist() == [44.99, 45.0]
    assert np.isnan(table.ra_deg[2])
    assert table.settings == {"radius": ["0.1arcmin", "", "2.5arcmin"]}
    assert [(fault.number, fault.sentence) for fault in table.faults] == [
        (3, "DELTA is empty, or not a number")
    ]


def test_a_list_for_des(tmp_path: Path) -> None:
    table = read(
        tmp_path / "list.csv",
        "RA,DEC,COADD_OBJECT_ID,XSIZE,YSIZE\n46.275669,-34.256,61407318,0.8,1.2\n46.28,-34.25,61407322,2arcsec,\n",
    )
    assert table.ids == ["61407318", "61407322"]
    assert table.settings == {"xsize": ["0.8arcmin", "2arcsec"], "ysize": ["1.2arcmin", ""]}
    assert (table.ra_deg[0], table.dec_deg[0]) == (46.275669, -34.256)


def test_names_units_and_rule_as_vizier_writes_them(tmp_path: Path) -> None:
    table = read(
        tmp_path / "asu.tsv",
        "#RESOURCE=yCat\n#Column ...\n\n"
        'Name\tRAJ2000\tDEJ2000\tVmag\n\t"h:m:s"\t"d:m:s"\tmag\n-----\t--------\t---------\t---\n'
        "M 31\t00 42 44.330\t+41 16 07.50\t3.4\n",
    )
    assert table.ids == ["M 31"]
    expected = SkyCoord("00h42m44.330s +41d16m07.50s")
    np.testing.assert_allclose((table.ra_deg[0], table.dec_deg[0]), (expected.ra.deg, expected.dec.deg))
    assert table.lines.tolist() == [7]
    degrees = read(tmp_path / "b.tsv", "ra\tdec\nrad\trad\n---\t---\n1\t0.5\n")
    assert degrees.ra_deg[0] == pytest.approx(np.rad2deg(1), rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "# id  ra  dec\n NGC1  1.5  2.5\n",  # of a desktop program
        "| id | ra | dec |\n|----|----|-----|\n| NGC1 | 1.5 | 2.5 |\n",
        " id | ra | dec\n----+----+----\n NGC1 | 1.5 | 2.5\n",
        "+----+---+---+\n| id | ra |dec|\n+----+---+---+\n|NGC1|1.5|2.5|\n+----+---+---+\n",
        "id, ra [deg], dec (deg)\nNGC1, 1.5, 2.5\n\n,,\n",
        'id ra dec\n"NGC1" 1.5 2.5',
        "id,ra,dec,\r\nNGC1,1.5,2.5,\r\n",
        'id,note,ra,dec\nNGC1,"two\nlines, and ""quotes""",1.5,2.5\n',
        "ra,dec,id\n1.5,2.5,NGC1",
        '{"dec": 2.5}\n'.replace('{"dec"', '{"id": "NGC1", "ra": 1.5, "dec"'),
    ],
)
def test_dialects(tmp_path: Path, text: str) -> None:
    table = read(tmp_path / "list", text)
    assert (table.ids, table.ra_deg.tolist(), table.dec_deg.tolist()) == (["NGC1"], [1.5], [2.5])
    assert table.faults == ()


def test_two_columns_without_names(tmp_path: Path) -> None:
    table = read(tmp_path / "list.txt", "10.5 -2.5\n11 3\n")
    assert (table.ra_deg.tolist(), table.dec_deg.tolist()) == ([10.5, 11], [-2.5, 3])
    assert table.found_by == {"ra": "position", "dec": "position"}
    assert [(fault.number, fault.is_warning) for fault in table.faults] == [(0, True)]
    mapped = read(tmp_path / "b.txt", "NGC1 10.5 -2.5\n", "id:col1,ra:col2,dec:col3")
    assert (mapped.ids, mapped.ra_deg.tolist(), mapped.faults) == (["NGC1"], [10.5], ())


def test_regions(tmp_path: Path) -> None:
    text = (
        "# Region file format: DS9 version 4.1\n"
        'global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman"\n'
        "fk5\n"
        "point(10:00:24.0,+02:12:00) # point=x text={NGC 1; a}\n"
        'circle(150.5,2.25,30") # text={b}\n'
        "box(150.5,2.25,1.5',0.5d,0)\n"
        "box(150.5,2.25,1',1',45)\n"
        "ellipse(150.5,2.25,1',2',0)\n"
        "circle 150.5 2.25 0.1; point 151 2\n"
    )
    table = read(tmp_path / "list.reg", text)
    assert table.ids[:3] == ["NGC 1; a", "b", ""]
    np.testing.assert_allclose(table.ra_deg, [150.1, 150.5, 150.5, np.nan, np.nan, 150.5, 151])
    assert table.settings["radius"] == ["", "30arcsec", "", "", "", "0.1deg", ""]
    assert table.settings["width"][2], table.settings["height"][2] == ("1.5arcmin", "0.5deg")
    told = {fault.line: fault.sentence for fault in table.faults if not fault.is_warning}
    assert told.keys() == {7, 8}
    assert "turned" in told[7]
    assert '"ellipse" is no target' in told[8]
    assert table.lines.tolist() == [4, 5, 6, 7, 8, 9, 9]


def test_parquet_says_what_is_missing_or_reads(tmp_path: Path, plain: Table) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(UploadRefused, match="pyarrow is not installed"):
            read(tmp_path / "list.parquet", b"PAR1" + bytes(100) + b"PAR1")
        return
    columns = {"id": IDS, "RA": RA, "Dec": DEC, "survey": ["demo"] * COUNT, "size": ["30arcsec"] * COUNT}
    bands = [None if band is np.ma.masked else str(band) for band in plain["bands"]]
    parquet.write_table(pyarrow.table(columns | {"bands": bands}), tmp_path / "list.parquet")
    table = read(tmp_path / "list.parquet")
    assert table.ids == IDS
    check(table)


def test_the_first_table_with_data_is_taken(tmp_path: Path) -> None:
    document = votable(rows((1.5, 2.5))).replace(
        b"<RESOURCE>", b'<RESOURCE><TABLE><FIELD name="x" datatype="int"/></TABLE>'
    )
    assert read(tmp_path / "list.vot", document).ra_deg.tolist() == [1.5]
    prefixed = document.replace(b"<", b"<v:").replace(b"<v:/", b"</v:").replace(b"<v:?", b"<?")
    prefixed = prefixed.replace(b"xmlns=", b"xmlns:v=")
    assert read(tmp_path / "prefixed.vot", prefixed).ra_deg.tolist() == [1.5]


def test_texts_of_fits_that_are_not_ascii(tmp_path: Path) -> None:
    names = b"\xce\x98 Ori  ", b"a\0junk  ", b"\xff       "
    data = b"".join(np.array([1.5, 2.5], ">f8").tobytes() + name for name in names)
    content = fits_table([("ra", "D"), ("dec", "D"), ("id", "8A")], data, 24, 3)
    assert read(tmp_path / "list.fits", content).ids == ["Θ Ori", "a", "\ufffd"]


def test_a_votable_with_a_byte_order_mark(tmp_path: Path) -> None:
    table = read(tmp_path / "list.vot", b"\xef\xbb\xbf" + votable(rows((1.5, 2.5))))
    assert table.ra_deg.tolist() == [1.5]
    latin = votable(rows((1.5, 2.5))).replace(b'"1.0"?>', b'"1.0" encoding="ISO-8859-1"?><!-- \xe9 -->')
    assert read(tmp_path / "latin.vot", latin).ra_deg.tolist() == [1.5]


def test_a_fits_table_after_images_and_compressed_ones(tmp_path: Path) -> None:
    from astropy.io import fits

    table = fits.BinTableHDU(Table({"ra": [1.5], "dec": [2.5], "id": ["a"]}))
    packed = fits.CompImageHDU(np.zeros((40, 40), dtype=np.int16))
    fits.HDUList([fits.PrimaryHDU(np.zeros(2000)), packed, table]).writeto(tmp_path / "list.fits")
    assert read(tmp_path / "list.fits").ids == ["a"]
    with pytest.raises(UploadRefused, match="no table"):
        read(tmp_path / "none.fits", PRIMARY)


@pytest.mark.parametrize("form", ["text", "tabledata", "binary", "binary2", "fits", "ecsv", "json"])
def test_columns_are_shown_with_their_first_values(plain: Table, tmp_path: Path, form: str) -> None:
    path, shown = tmp_path / "list", plain["id", "RA", "Dec", "mag"]
    shown["id"] = [f"t{number}" for number in range(COUNT)]
    match form:
        case "text":
            shown.write(path, format="ascii.csv")
        case "fits" | "ecsv":
            shown.write(path, format={"fits": "fits", "ecsv": "ascii.ecsv"}[form])
        case "json":
            path.write_text(
                "\n".join(
                    json.dumps(dict(zip(shown.colnames, row.as_void().tolist(), strict=True)))
                    for row in shown
                )
            )
        case _:
            shown.write(path, format="votable", tabledata_format=form)
    table = read_targets(path, "", "", ColumnMapping(), SMALL, head=3)
    assert [(one.name, one.used_as, one.found_by) for one in table.seen] == [
        ("id", "id", "name"), ("RA", "ra", "name"), ("Dec", "dec", "name"), ("mag", "", ""),
    ]  # fmt: skip
    values = [list(one.values) for one in table.seen]
    assert values[0] == ["t0", "t1", "t2"]
    assert values[3] == ["0", "1", "2"]
    assert [float(text) for text in values[1]] == RA[:3].tolist()
    # Whatever is shown, all rows are read.
    assert len(table) == COUNT
    assert read(path).seen == ()


def test_columns_of_a_table_that_is_refused_are_shown(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(UploadRefused, match="no columns are right ascension") as refused:
        read_targets(tmp_path / "list.csv", "list.csv", "", ColumnMapping(), SMALL, head=5)
    assert [(one.name, one.used_as, one.values) for one in refused.value.seen] == [
        ("a", "", ["1", "3"]), ("b", "", ["2", "4"]),
    ]  # fmt: skip


def test_a_column_of_arrays_is_shown_without_values(tmp_path: Path) -> None:
    Table({"ra": [1.0, 2.0], "dec": [3.0, 4.0], "flux": np.ones((2, 5))}).write(tmp_path / "list.fits")
    table = read_targets(tmp_path / "list.fits", "", "", ColumnMapping(), SMALL, head=2)
    assert [tuple(one.values) for one in table.seen] == [("1", "2"), ("3", "4"), ()]
