"""Which column is what, in which unit and system; names and settings of rows."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, Galactic, SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from dali.coordinates import parse_declination, parse_right_ascension
from dali.errors import UsageError
from soda.targets import TargetLimits, UploadRefused, parse_mapping, slug
from soda.targets.positions import _sexagesimal
from soda.targets.read import read_targets
from tests.soda.targets.support import PRIMARY, fits_table, read, rows, votable


def field(name: str, ucd: str = "", unit: str = "", ref: str = "", datatype: str = "double") -> str:
    more = f'ref="{ref}"' if ref else ""
    size = 'arraysize="*"' if datatype == "char" else ""
    return f'<FIELD name="{name}" datatype="{datatype}" {size} ucd="{ucd}" unit="{unit}" {more}/>'


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("ra,dec", "ra,dec"),
        ("RA,DE", "RA,DE"),
        ("x,ra,raj2000,dec,dej2000", "ra,dec"),
        ("raj2000,dec,ra,dej2000,x", "ra,dec"),
        ("_RAJ2000,_DEJ2000,RA1950,DE1950", "_RAJ2000,_DEJ2000"),
        ("ALPHA_J2000,DELTA_J2000,ALPHAWIN_J2000,DELTAWIN_J2000", "ALPHAWIN_J2000,DELTAWIN_J2000"),
        ("alpha,delta", "alpha,delta"),
        ("RA_ICRS,DE_ICRS,e_RA_ICRS", "RA_ICRS,DE_ICRS"),
        ("s_ra,s_dec,s_fov", "s_ra,s_dec"),
        ("radeg,decdeg", "radeg,decdeg"),
        ("Right Ascension,Declination", "Right Ascension,Declination"),
        ("RA (J2000),Dec (J2000)", "RA (J2000),Dec (J2000)"),
        ("coord.ra,coord.dec", "coord.ra,coord.dec"),
        ("raMean,decMean,raMeanErr", "raMean,decMean"),
        ("ra,dec_deg", "ra,dec_deg"),
    ],
)
def test_columns_by_name(tmp_path: Path, names: str, found: str) -> None:
    table = read(tmp_path / "list.csv", f"{names}\n{','.join('1' for _ in names.split(','))}\n")
    assert (table.columns["ra"], table.columns["dec"]) == tuple(found.split(","))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ((("a", "pos.eq.ra;meta.main"), ("ra", ""), ("b", "pos.eq.dec;meta.main"), ("dec", "")), "ab"),
        ((("a", "pos.eq.ra"), ("b", "pos.eq.dec"), ("c", "meta.main;pos.eq.ra")), "cb"),
        ((("a", "POS_EQ_RA_MAIN"), ("b", "POS_EQ_DEC_MAIN")), "ab"),
        ((("e", "stat.error;pos.eq.ra"), ("a", "pos.eq.ra"), ("b", "pos.eq.dec")), "ab"),
        ((("ra", "pos.eq.ra"), ("a", "pos.eq.ra"), ("b", "pos.eq.dec")), ("ra", "b")),
        ((("ra", "pos.eq.ra"), ("dec", "")), ("ra", "dec")),
    ],
)
def test_columns_by_ucd(tmp_path: Path, fields: tuple[tuple[str, str], ...], found: str) -> None:
    described = "".join(field(name, ucd) for name, ucd in fields)
    table = read(tmp_path / "list.vot", votable(rows(tuple(range(1, len(fields) + 1))), described))
    assert (table.columns["ra"], table.columns["dec"]) == tuple(found)


def test_columns_by_the_clients_word(tmp_path: Path) -> None:
    text = "RA,Dec,X,Y,Name,diam,q1\n1,2,3,4,a,30,95\n"
    table = read(tmp_path / "list", text, "ra:X,dec:y,id:Name,size:diam,quality:q1")
    assert (table.ra_deg[0], table.dec_deg[0], table.ids) == (3, 4, ["a"])
    assert table.settings == {"size": ["30"], "quality": ["95"]}
    assert set(table.found_by.values()) == {"mapping"}
    # Where it says nothing of positions, they are looked for.
    assert read(tmp_path / "list", text, "id:q1").ids == ["95"]
    # No column is the name.
    assert read(tmp_path / "list", text, "id:").ids == [""]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("ra:X", "dec is missing"),
        ("ra:X,dec:Y,ra:Z", 'ra twice: "X" and "Z"'),
        ("raa:X,dec:Y", '"raa" is not a name of ours'),
        ("ra=X", "pairs our-name:column"),
        ("ra:", "pairs our-name:column"),
        ("pos:X", "is not a name of ours"),
    ],
)
def test_a_wrong_mapping(columns: str, says: str) -> None:
    with pytest.raises(UsageError, match="COLUMNS") as fault:
        parse_mapping([columns])
    assert says in fault.value.sentence
    assert parse_mapping(["ra:A, dec:B", "ID:c:d"]).names == {"ra": "A", "dec": "B", "id": "c:d"}


def test_the_column_id_is_always_the_name(tmp_path: Path) -> None:
    described = field("ra") + field("dec") + field("main", "meta.id;meta.main", datatype="char")
    named = described + field("ID", datatype="char")
    assert read(tmp_path / "a", votable(rows((1, 2, "m")), described)).ids == ["m"]
    assert read(tmp_path / "b", votable(rows((1, 2, "m", "i")), named)).ids == ["i"]
    assert read(tmp_path / "c", "ra,dec,name\n1,2,n\n").ids == ["n"]
    assert read(tmp_path / "d", "ra,dec,id,name\n1,2,i,n\n").ids == ["i"]
    assert read(tmp_path / "e", "ra,dec\n1,2\n").ids == [""]


def test_measurements_are_not_settings(tmp_path: Path) -> None:
    table = read(tmp_path / "list", "ra,dec,flux,mask,label,q,time,pol,quality\n1,2,3,4,5,6,7,8,9\n")
    assert table.settings == {}


@pytest.mark.parametrize(
    ("unit", "text", "degrees"),
    [
        ("deg", "15", 15),
        ("rad", "0.5", np.rad2deg(0.5)),
        ("h", "1.5", 22.5),
        ("hourangle", "2", 30),
        ("arcmin", "60", 1),
    ],
)
def test_units_of_positions(tmp_path: Path, unit: str, text: str, degrees: float) -> None:
    described = field("ra", unit=unit) + field("dec", unit="deg")
    assert read(tmp_path / "a", votable(rows((text, 2)), described)).ra_deg[0] == pytest.approx(
        degrees, rel=1e-15
    )
    with pytest.raises(UploadRefused, match='unit is "km/s"'):
        read(tmp_path / "a", votable(rows((1, 2)), field("ra", unit="km/s") + field("dec")))


@pytest.mark.parametrize(
    ("unit", "text", "said"),
    [
        ("arcsec", "30", "30arcsec"),
        ("arcmin", "0.50", "0.5arcmin"),
        ("deg", "1e-2", "0.01deg"),
        ("pix", "64", "64px"),
        ("arcsec", "2'", "2'"),
        ("", "64", "64"),
        ("arcsec", "", ""),
    ],
)
def test_units_of_sizes(tmp_path: Path, unit: str, text: str, said: str) -> None:
    described = field("ra") + field("dec") + field("size", unit=unit, datatype="char")
    assert read(tmp_path / "a", votable(rows((1, 2, text)), described)).settings == {"size": [said]}


@pytest.mark.parametrize(
    ("system", "frame"),
    [
        ('system="eq_FK4" equinox="B1950"', FK4(equinox="B1950")),
        ('system="FK5" equinox="J1975"', FK5(equinox="J1975")),
        ('system="galactic"', Galactic()),
    ],
)
def test_systems_of_votable(tmp_path: Path, system: str, frame: object) -> None:
    described = field("ra", ref="sys") + field("dec", ref="sys")
    document = votable(rows((10.5, 41), (200, -30)), described).replace(
        b"<TABLE", f'<COOSYS ID="sys" {system}/><TABLE'.encode()
    )
    table = read(tmp_path / "a", document)
    sky = SkyCoord([10.5, 200], [41, -30], unit="deg", frame=frame)
    np.testing.assert_allclose(table.ra_deg, sky.icrs.ra.deg, atol=1e-9)
    np.testing.assert_allclose(table.dec_deg, sky.icrs.dec.deg, atol=1e-9)
    assert "converted" in table.faults[0].sentence


def test_galactic_by_ucd_and_systems_nobody_converts(tmp_path: Path) -> None:
    described = field("glon", "pos.galactic.lon") + field("glat", "pos.galactic.lat")
    table = read(tmp_path / "a", votable(rows((0, 0), (400, 0)), described))
    assert (table.ra_deg[0], table.dec_deg[0]) == pytest.approx((266.40499, -28.93617), abs=1e-4)
    assert [fault.number for fault in table.faults if not fault.is_warning] == [2]
    system = b'<COOSYS ID="s" system="ecl_FK5"/><TABLE'
    document = votable(rows((1, 2)), field("ra", ref="s") + field("dec", ref="s")).replace(b"<TABLE", system)
    with pytest.raises(UploadRefused, match="not converted"):
        read(tmp_path / "b", document)
    icrs = document.replace(b"ecl_FK5", b"ICRS")
    assert read(tmp_path / "c", icrs).faults == ()


def test_the_system_of_a_fits_table(tmp_path: Path) -> None:
    content = fits_table(
        [("ra", "D"), ("dec", "D")], np.array([10.5, 41], ">f8").tobytes(), 16, 1, ("RADESYS", "FK4")
    )
    table = read(tmp_path / "a.fits", content)
    sky = SkyCoord(10.5, 41, unit="deg", frame=FK4(equinox="B1950")).icrs
    assert (table.ra_deg[0], table.dec_deg[0]) == pytest.approx((sky.ra.deg, sky.dec.deg))
    assert len(content) > len(PRIMARY)


def test_sexagesimal_positions(tmp_path: Path) -> None:
    text = (
        'ra,dec\n12:34:56.7,-00:30:00\n12h34m56.7s,-0d30m\n"12 34 56.7",-0 30 0\n'
        "188.73625,-0.5\n188d44m10.5s,-0.5\n"
    )
    table = read(tmp_path / "a", text)
    assert table.ra_deg.tolist() == pytest.approx([188.73625] * 5, rel=1e-15)
    assert table.dec_deg.tolist() == [-0.5] * 5
    (warning,) = table.faults
    assert warning.is_warning
    assert "3 right ascensions" in warning.sentence


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["", "+", "-"]),
    st.integers(0, 400),
    st.sampled_from([":", " ", "h", "d"]),
    st.integers(0, 99),
    st.decimals(0, 99, places=3),
    st.sampled_from(["ra", "dec"]),
)
def test_the_quick_reading_is_the_slow_one(
    sign: str, whole: int, mark: str, minutes: int, seconds: object, axis: str
) -> None:
    text = (
        f"{sign}{whole}{mark}{minutes}m{seconds}s"
        if mark in "hd"
        else f"{sign}{whole}{mark}{minutes}{mark}{seconds}"
    )
    quick = _sexagesimal(text, axis)
    if quick is not None:
        # Both are the nearest to the exact value; only limits of the sky are looked at later.
        slow = parse_right_ascension if axis == "ra" else parse_declination
        if (0 <= quick < 360) if axis == "ra" else abs(quick) <= 90:
            assert slow(text, axis) == quick


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters='\0\r\n"'), max_size=40),
        min_size=1,
        max_size=5,
    )
)
def test_any_names_come_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "names.csv"
    path.write_text(
        "id,ra,dec\n" + "".join(f'"{name}",1,2\n' for name in names), encoding="utf-8", newline=""
    )
    table = read_targets(path, "", "", parse_mapping([]), TargetLimits())
    assert table.ids == [name.strip() for name in names]


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_do_harm(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    for start in (
        b"",
        b"ra,dec\n1,2\n",
        b"{",
        b"SIMPLE  =",
        b"<VOTABLE>",
        b"# %ECSV 1.0\n",
        b"PAR1",
        b"# Region file format: DS9\n",
    ):
        path.write_bytes(start + content)
        with suppress(UploadRefused):
            read_targets(path, "", "", parse_mapping([]), TargetLimits())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NGC 4030", "NGC_4030"),
        ("../../etc/passwd", "etc_passwd"),
        ("\u202eabc\x07", "abc"),
        ("", ""),
        ("...", ""),
        ("con.txt", "_con.txt"),
        ("x" * 300, "x" * 64),
        ("Θ Ori", "Ori"),
    ],
)
def test_names_for_files(text: str, said: str) -> None:
    assert slug(text) == said


def test_large_tables_are_read_quickly(tmp_path: Path) -> None:
    count = 20_000
    ra = [f"{n * 360 / count:.6f}" for n in range(count)]
    decimal = "id,ra,dec\n" + "".join(f"{n},{text},1.5\n" for n, text in enumerate(ra))
    sexagesimal = "ra,dec\n" + "".join(f"12:34:{n % 60:02}.25,-12:34:56.7\n" for n in range(count))
    for name, text, seconds in (("a", decimal, 0.5), ("b", sexagesimal, 1)):
        start = time.process_time()
        table = read(tmp_path / name, text, limits=TargetLimits())
        assert time.process_time() - start < seconds
        assert table.rejected == 0
