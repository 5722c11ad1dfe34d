# ruff: noqa: E501 -- a table is read by its rows
"""Bad files are refused with the line and the reason, or their bad rows are; none does any harm."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from soda.targets import UploadRefused
from tests.conftest import REPOSITORY
from tests.soda.targets.support import PRIMARY, SMALL, cards, doubles, fits_table, read, rows, stream, votable

CSV = "id,ra,dec\n"
GOOD = "good,150.5,2.5\n"
OUTSIDE = "http://127.0.0.1:9/never"


@dataclass(frozen=True)
class Bad:
    """A file, and what is said of it.

    `says`: what the refusal must have in it; `line`: its line; `rows`: instead of a refusal, rows that are
    rejected and a part of what each is told; `columns`: COLUMNS.
    """

    name: str
    content: bytes | str | Callable[[], bytes]
    says: str = ""
    line: int | None = None
    status: int = 403
    rows: tuple[tuple[int, str], ...] = ()
    warns: str = ""
    columns: str = ""


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def ecsv(*header: str, body: str = "ra dec\n150 2\n") -> str:
    lines = ("%ECSV 1.0", "---", *header)
    return "".join(f"# {line}\n" for line in lines) + body


COLUMNS = ("datatype:", "- {name: ra, datatype: float64}", "- {name: dec, datatype: float64}")
LAUGHS = '<!DOCTYPE v [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
)
FILES = [
    # Nothing in it.
    Bad("empty", b"", "is empty"),
    Bad("blank", b" \n\n\r\n ", "is empty"),
    Bad("only a mark", b"\xef\xbb\xbf", "is empty"),
    Bad("only comments", "# a\n# b\n", "nothing but comments"),
    Bad("names only", CSV, "no rows"),
    Bad("names and empty rows", CSV + ",,\n,,\n", "no rows"),
    Bad("votable without rows", votable("<TABLEDATA></TABLEDATA>"), "no rows"),
    Bad("votable without data", votable("").replace(b"<DATA></DATA>", b""), "no table with data"),
    Bad("fits without rows", fits_table(count=0), "no rows"),
    Bad("fits without table", PRIMARY, "no table"),
    Bad("json without objects", "[]", "no objects"),
    Bad("ecsv without rows", ecsv(*COLUMNS, body="ra dec\n"), "no rows"),
    # Wrong columns.
    Bad("wrong columns", "name,mag\na,1\n", 'the columns are "name", "mag"'),
    Bad("ra alone", "id,ra\na,1\n", "no columns are right ascension"),
    Bad("one column", "10.5\n11\n", "names no columns"),
    Bad("two of one name", "ra,RA,dec\n1,2,3\n", '"ra" and "RA"'),
    Bad(
        "two main ones",
        votable(
            rows((1, 2, 3)),
            '<FIELD name="a" datatype="float" ucd="pos.eq.ra;meta.main"/>'
            '<FIELD name="b" datatype="float" ucd="POS_EQ_RA_MAIN"/>'
            '<FIELD name="dec" datatype="float" ucd="pos.eq.dec"/>',
        ),
        '"a" and "b", each as likely',
    ),
    Bad("a unit that is none", "ra [deg],dec\n1,2\n", columns="ra:ra,dec:Decl", says='there is no column "Decl"'),
    Bad("many columns", ",".join(f"c{n}" for n in range(60)) + "\n" + "1," * 60, "60 columns", 1),
    Bad("no names, three columns", "M31,10.68,41.27\n", "col1", 1),
    Bad("fits of arrays", fits_table([("ra", "2D"), ("dec", "D")], doubles(1, 2, 3), 24), "one number a row"),
    Bad("fits of strings", fits_table([("ra", "L"), ("dec", "D")], b"T" + doubles(3), 9), "holds no numbers"),
    # Values.
    Bad("nan", CSV + GOOD + "a,NaN,1\nb,1,nan\nc,inf,2\nd,,2\n", rows=((2, "ra"), (3, "dec"), (4, "inf"), (5, "empty"))),
    Bad("nan in all", CSV + "a,nan,1\n", "no position", 2),
    Bad("ra beyond", CSV + GOOD + "a,370,1\nb,-10.5,1\n", rows=((2, "did you mean 10?"), (3, "did you mean 349.5?"))),
    Bad("dec beyond", CSV + GOOD + "a,10,95.2\nb,5,-90.001\n", rows=((2, "exchanged?"), (3, "-90 to 90"))),
    Bad("huge numbers", CSV + GOOD + "a,1e300,1\nb,1e999,1\nc," + "9" * 500 + ",1\n", rows=((2, "0 to 360"), (3, "0 to 360"), (4, ""))),
    Bad("not numbers", CSV + GOOD + "a,1_0,1\nb,１２,1\nc,0x10,1\nd,1,'\n", rows=((2, ""), (3, ""), (4, ""), (5, ""))),
    Bad("decimal commas", "id;ra;dec\n" + GOOD.replace(",", ";") + "a;150,5;2,5\n", rows=((2, "write 150.5"),)),
    Bad("sexagesimal nonsense", CSV + GOOD + "a,24:00:00,1\nb,10:60:00,1\nc,10 20,1\nd,1,12h00m00s\n", rows=((2, "hours are 0 to 23"), (3, "below 60"), (4, "two ways"), (5, "not hours"))),
    Bad("votable nan", votable(rows(("NaN", 1), (1, 2), ("", 3), ("x", 1))), rows=((1, ""), (3, "empty"), (4, "x"))),
    Bad("fits nan", fits_table(data=doubles(float("nan"), 1, 2, 2), count=2), rows=((1, "not a number"),)),
    Bad("json of objects", '{"ra": 1, "dec": 2}\n{"ra": {"a": 1}, "dec": 2}\n{"dec": 3}\n', rows=((2, "object"), (3, "empty"))),
    Bad("more values than names", CSV + GOOD + "a,1,2,3\n", rows=((2, "4 values"),)),
    Bad("fewer values than names", CSV + GOOD + "a,1\n", rows=((2, "dec is empty"),)),
    # Names of targets.
    Bad("formulas", CSV + "=cmd|'/c calc'!A1,1,2\n@SUM(A1),1,2\n"),
    Bad("twice the same", CSV + GOOD + GOOD, warns='"good" is that of row 1 too'),
    Bad("slashes", CSV + "../../etc/passwd,1,2\nC:\\x,1,2\n"),
    Bad("control and other directions", CSV + "a\x07b\x1b[31m,1,2\n\u202eabc\u2066,1,2\n"),
    Bad("10,000 characters", CSV + GOOD + "x" * 10_000 + ",1,2\n", rows=((2, "10000 characters"),)),
    Bad("what cannot be stored", '{"id": "a\\u0000", "ra": 1, "dec": 2}\n{"id": "\\ud800", "ra": 1, "dec": 2}\n{"ra": 1, "dec": 2}', rows=((1, "cannot be stored"), (2, "cannot be stored"))),
    Bad("spoiled by a spreadsheet", CSV + "1.23E+18,1,2\n", warns="a spreadsheet"),
    Bad("settings no one has", "ra,dec,survey\n1,2,demo\n1,2,d\u00e9\n1,2," + "x" * 300, rows=((2, "ASCII"), (3, "300 characters"))),
    # Encodings and bytes.
    Bad("utf-16", (CSV + GOOD).encode("utf-16"), "UTF-16", 1),
    Bad("utf-16 without a mark", (CSV + GOOD).encode("utf-16-le"), "UTF-16", 1),
    Bad("utf-32", (CSV + GOOD).encode("utf-32"), "UTF-", 1),
    Bad("latin-1", (CSV + GOOD * 900 + "\xe9toile,1,2\n").encode("latin-1"), "not UTF-8", 902),
    Bad("latin-1 in json", b'{"ra": 1, "dec": 2}\n{"id": "\xe9"}', "not UTF-8", 2),
    Bad("a NUL far away", (CSV + GOOD * 500).encode() + b"a\0b,1,2\n", "NUL", 502),
    Bad("binary garbage", lambda: bytes((n * 7919 + n // 13) % 256 for n in range(20_000)), "binary"),
    Bad("control characters", bytes(range(1, 32)) * 100, "binary"),
    Bad("a picture", b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
    Bad("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    Bad("gzip bomb", lambda: gzip.compress(bytes(5_000_000)), "compressed (gzip)"),
    Bad("bzip2", lambda: bz2.compress(b"0" * 1_000_000), "compressed (bzip2)"),
    Bad("xz", lambda: lzma.compress(b"0" * 1_000_000, preset=0), "compressed (xz)"),
    Bad("zip bomb", lambda: zipped("a.csv", bytes(5_000_000)), "zip archive"),
    Bad("spreadsheet", lambda: zipped("[Content_Types].xml", b"<x/>"), "spreadsheet"),
    Bad("an IPAC table", "\\fixlen = T\n\\ by IRSA\n| ra |dec |\n|real| r  |\n 1.5  2.5\n", "an IPAC table"),
    Bad("a web page", "<!DOCTYPE html><html><body>Login</body></html>", "web page"),
    # Text that is no table.
    Bad("a long line", lambda: (CSV + GOOD + "a" * 10_000_000 + ",1,2\n").encode(), "longer than 65536", 3),
    Bad("a long first line", lambda: b"ra,dec," + b"x" * 10_000_000, "longer than 65536", 1),
    Bad("a quote never closed", CSV + GOOD + '"a,1,2\n' + GOOD * 50, "never closed", 3),
    Bad("a quote never closed, far", lambda: (CSV + '"a,1,2\n' + GOOD * 20_000).encode(), "never closed", 2),
    Bad("too many rows", lambda: (CSV + GOOD * 500_000).encode(), "more than 1000 rows", 1002),
    Bad("too many bytes", lambda: b"#" * (SMALL.bytes + 1), f"at most {SMALL.bytes}", status=413),
    Bad("a long name of a column", "ra,dec," + "x" * 600 + "\n1,2,3\n", "600 characters"),
    # VOTable.
    Bad("billion laughs", votable(rows(("&j;", 1)), before=LAUGHS + "]>"), "DOCTYPE", 2),
    Bad("external entity", votable(rows(("&x;", 1)), before=f'<!DOCTYPE v [<!ENTITY x SYSTEM "{OUTSIDE}">]>'), "DOCTYPE", 2),
    Bad("a file as entity", votable(rows(("&x;", 1)), before='<!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "DOCTYPE", 2),
    Bad("external dtd", votable(rows((1, 2)), before=f'<!DOCTYPE VOTABLE SYSTEM "{OUTSIDE}">\n'), "DOCTYPE", 2),
    Bad("an entity nobody declared", votable(rows(("&x;", 1))), "well-formed", 4),
    Bad("another encoding", votable(rows((1, 2))).replace(b'version="1.0"', b'version="1.0" encoding="utf-7"'), "utf-7", 1),
    Bad("10^12 rows", votable(rows((1, 2)), table='nrows="1000000000000"'), "1000000000000 rows"),
    Bad("negative rows", votable(rows((1, 2)), table='nrows="-1"'), "nrows"),
    Bad("too many rows of votable", lambda: votable(rows(*[(1, 2)] * 1001)), "more than 1000 rows"),
    Bad("votable cut off", votable(rows(*[(1, 2)] * 9))[:-90], "well-formed", 11),
    Bad("votable with bytes between", votable(rows((1, 2))).replace(b"<TR>", b"\x01<TR>"), "well-formed", 4),
    Bad("more values than fields", votable(rows((1, 2, 3))), "more values than there are columns"),
    Bad("one row of many values", lambda: votable("<TABLEDATA><TR>" + "<TD/>" * 500_000 + "</TR></TABLEDATA>"), "more values"),
    Bad("a value of 10 MB", lambda: votable(rows(("1" * 10_000_000, 2))), "more than 65536 characters"),
    Bad("deep", lambda: votable("<GROUP>" * 5000 + "</GROUP>" * 5000), "within each other"),
    Bad("fits in votable", votable(f'<FITS><STREAM href="{OUTSIDE}"/></FITS>'), "FITS file"),
    Bad("data elsewhere", votable(f'<BINARY><STREAM href="{OUTSIDE}"/></BINARY>'), "not fetched"),
    Bad("data in a file", votable('<BINARY2><STREAM href="file:///etc/passwd"/></BINARY2>'), "not fetched"),
    Bad("schema elsewhere", votable(rows((1, 2), (1, 99))).replace(b"<VOTABLE", f'<VOTABLE xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x {OUTSIDE}"'.encode()), rows=((2, "-90 to 90"),)),
    Bad("base64 that is none", votable('<BINARY><STREAM encoding="base64">!!!!</STREAM></BINARY>'), "base64"),
    Bad("gzip in a stream", votable('<BINARY><STREAM encoding="gzip">H4sI</STREAM></BINARY>'), "encoding of STREAM"),
    Bad("binary cut off", votable(stream(doubles(1, 2, 3))), "ends within row 2"),
    Bad("too many rows of binary", lambda: votable(stream(doubles(*[1.0] * 2002))), "more than 1000 rows"),
    Bad("absurd arraysize", votable(stream(doubles(1, 2)), '<FIELD name="ra" datatype="double" arraysize="999999999x999999999"/><FIELD name="dec" datatype="double"/>'), "bytes a row"),
    Bad("arraysize that is none", votable(stream(doubles(1, 2)), '<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double" arraysize="-1"/>'), 'arraysize is "-1"'),
    Bad("datatype that is none", votable(stream(doubles(1, 2)), '<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="quad"/>'), 'datatype "quad"'),
    Bad("lengths beyond the end", votable(stream(doubles(1, 2) + b"\xff\xff\xff\xffabc"), '<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double"/><FIELD name="id" datatype="char" arraysize="*"/>'), "ends within row 1"),
    Bad("columns of no width", votable(stream(b"a"), '<FIELD name="ra" datatype="char" arraysize="0"/><FIELD name="dec" datatype="char" arraysize="0"/>'), "ends within row 1"),
    Bad("other xml", "<?xml version='1.0'?><svg/>", "no VOTable"),
    # FITS.
    Bad("absurd NAXIS2", fits_table(count=10**12), "claims"),
    Bad("absurd NAXIS1", fits_table(width=10**15), "claims"),
    Bad("absurd PCOUNT", fits_table(data=doubles(1, 2), heap=10**15), "claims"),
    Bad("negative NAXIS1", fits_table(width=-16), "NAXIS1"),
    Bad("absurd NAXIS of an image", cards(("SIMPLE", "T"), ("BITPIX", -64), ("NAXIS", 999)), "NAXIS1"),
    Bad("absurd TFIELDS", fits_table(data=doubles(1, 2)).replace(b"TFIELDS =                    2", b"TFIELDS =               999999"), "999999 columns"),
    Bad("columns wider than rows", fits_table([("ra", "999999999D"), ("dec", "D")], doubles(1, 2)), "do not fit"),
    Bad("a format that is none", fits_table([("ra", "1Z"), ("dec", "D")], doubles(1, 2)), "TFORM1"),
    Bad("fits cut off", fits_table(data=doubles(1, 2))[:-2880], "claims 16 bytes"),
    Bad("variable arrays", fits_table([("ra", "1PD(1000000000)"), ("dec", "D")], bytes(16)), "one number a row"),
    Bad("too many rows of fits", fits_table(data=bytes(16 * 1001), count=1001), "more than 1000 rows"),
    Bad("a header that does not end", lambda: PRIMARY + b"XTENSION= 'BINTABLE'".ljust(80) * 36 * 1000, "does not end"),
    Bad("garbage after SIMPLE", b"SIMPLE  =                    T" + bytes(range(256)) * 100, "FITS file"),
    # ECSV.
    Bad("tags", ecsv(*COLUMNS[:-1], "- {name: dec, datatype: !!python/object/apply:os.system ['true']}"), "tags", 5),
    Bad("references", ecsv("datatype:", "- &a {name: ra, datatype: float64}", "- *a"), "references", 4),
    Bad("laughs of yaml", ecsv("datatype:", "- &a [x,x,x,x,x,x,x,x]", *(f"- &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 8)}]" for n in range(8))), "references", 4),
    Bad("not yaml", ecsv("datatype: [}"), "not YAML"),
    Bad("a deep header", ecsv("datatype: " + "[" * 20_000), "too many levels"),
    Bad("a long header", lambda: ecsv(*COLUMNS, *["# x"] * 30_000).encode(), "header of ECSV is longer", 20_001),
    Bad("no columns in the header", ecsv("delimiter: ','"), "no list of columns"),
    Bad("a header of other columns", ecsv(*COLUMNS, body="a b\n1 2\n"), "not those"),
    Bad("a class in meta", ecsv(*COLUMNS, "meta: !!python/object/apply:os.system ['touch /tmp/harm']", body="ra dec\n1 2\n1 99\n"), rows=((2, "-90 to 90"),)),
    # JSON.
    Bad("broken json", '{"ra": 1, "dec": 2}\n{"ra": 1,\n', "not JSON", 3),
    Bad("json of arrays", "[[1, 2]]", "a row is an object", 1),
    Bad("deep json", '{"a": ' + "[" * 60_000, "levels", 1),
    Bad("long object", lambda: ('{"ra": 1, "dec": 2, "x": "' + "x" * 5_000_000 + '"}').encode(), "longer than 65536", 1),
    Bad("many members", lambda: "".join(f'{{"a{n}": 1}}\n' for n in range(100)).encode(), "columns", 51),
    Bad("too many objects", '{"ra": 1, "dec": 2}\n' * 1001, "more than 1000 rows", 1001),
    Bad("number of many digits", '{"ra": ' + "1" * 5000 + ', "dec": 1}\n{"ra": 1, "dec": 1}', rows=((1, "5000 characters"),)),
    # Regions and others.
    Bad("regions of pixels", "# Region file format: DS9\nimage\ncircle(1,2,3)\n", '"image"', 2),
    Bad("regions of no system", "# Region file format: DS9\ncircle(1,2,3)\n", "before its system", 2),
    Bad("no regions", "# Region file format: DS9\nfk5\n", "no regions"),
    Bad("parquet that is none", b"PAR1" + bytes(1000), "Parquet"),
]  # fmt: skip


@pytest.fixture
def _nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither a connection is made, nor a file left in the folder for temporary ones."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    _WATCH.clear()
    _WATCH.append("on")
    yield
    seen = _WATCH[1:]
    _WATCH.clear()
    assert seen == []
    assert list(scratch.iterdir()) == []


_WATCH: list[str] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    # Threads that other tests left behind go on as they like.
    if _WATCH and threading.current_thread() is not threading.main_thread():
        return
    if _WATCH and event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        _WATCH.append(f"{event} {arguments}")


sys.addaudithook(_audit)


@pytest.mark.usefixtures("_nothing_outside")
@pytest.mark.parametrize("bad", FILES, ids=lambda bad: bad.name.replace(" ", "-"))
def test_bad_file(bad: Bad, tmp_path: Path) -> None:
    content = bad.content() if callable(bad.content) else bad.content
    start = time.process_time()
    if bad.says:
        with pytest.raises(UploadRefused) as refused:
            read(tmp_path / "list", content, bad.columns)
        fault = refused.value
        assert bad.says in fault.sentence
        assert (fault.status, fault.label, fault.line) == (bad.status, "UsageError", bad.line)
        assert "/" not in fault.sentence.replace(OUTSIDE, "")
        assert len(fault.sentence) < 500
    else:
        table = read(tmp_path / "list", content, bad.columns)
        faults = {fault.number: fault.sentence for fault in table.faults if not fault.is_warning}
        assert faults.keys() == {number for number, _ in bad.rows}
        assert all(part in faults[number] for number, part in bad.rows)
        assert all(len(sentence) < 400 for sentence in faults.values())
        warnings = [fault.sentence for fault in table.faults if fault.is_warning]
        assert bool(warnings) == bool(bad.warns) or "hours" in warnings[0]
        assert bad.warns in "".join(warnings)
    assert time.process_time() - start < 5


def test_names_are_carried_verbatim(tmp_path: Path) -> None:
    names = ["=1+1", "../../etc/passwd", "a\x07b", "\u202eabc", "a'b", "NGC  1"]
    assert read(tmp_path / "list", CSV + "".join(f"{name},1,2\n" for name in names)).ids == names


def _wide_csv(count: int) -> bytes:
    """Rows that take four bytes a character: one that is no letter of ours makes all of a text so wide."""
    lines = (f"1,2,{n}\U0001f600{'x' * 240},\U0001f600{n}{'y' * 250},{n},{n}.5" for n in range(count))
    return "\n".join(["ra,dec,id,survey,band,size", *lines]).encode()


#: Files as large as they may be, of so many rows, each made to take more memory or time than it is worth.
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "rows.vot": lambda n: votable(f"<TABLEDATA>{'<TR><TD>1</TD><TD>2</TD></TR>' * n}</TABLEDATA>"),
    "elements.vot": lambda n: votable(rows((1, 2))).replace(b"<TABLE ", b"<INFO/>" * 90 * n + b"<TABLE "),
    "names.vot": lambda n: votable(b"".join(b"<a%d/>" % i for i in range(30 * n)).decode()),
    "binary.vot": lambda n: votable(stream(doubles(*[1.0] * 2 * n) + bytes(440 * n))),
    "wide.csv": _wide_csv,
    "wide.json": lambda n: b"\n".join(
        b'{"ra": 1, "dec": 2, "id": "%d\xf0\x9f\x98\x80%s"}' % (i, b"x" * 600) for i in range(n)
    ),
    "wide.fits": lambda n: fits_table(
        [("ra", "D"), ("dec", "D"), ("id", "620A")], (doubles(1, 2) + b"x" * 620) * n, 636, n
    ),
    "one.fits": lambda n: fits_table(
        [("ra", "D"), ("dec", "D"), ("id", f"{600 * n}A")], doubles(1, 2) + b"x" * 600 * n, 600 * n + 16
    ),
    "quotes.csv": lambda n: b"ra,dec\n" + b'"1\n' * 200 * n,
    "faults.csv": lambda n: b"ra,dec\n1,1\n" + b"x,1\n" * (n - 1),
    "blank.json": lambda n: b"[" + b" " * 600 * n + b'{"ra": 1, "dec": 2}]',
}

_MEASURE = """
import json, re, sys, time
from pathlib import Path
from soda.targets import ColumnMapping, TargetLimits, UploadRefused, read_targets
import astropy.io.fits, soda.targets.votable, soda.targets.text, soda.targets.jsonrows
def memory(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
limits = TargetLimits(rows=int(sys.argv[1]), bytes=671 * int(sys.argv[1]))
for name in sys.argv[2:]:
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
    before = memory("VmRSS")
    start = time.process_time()
    try:
        said = len(read_targets(Path(name), name, "", ColumnMapping(), limits))
    except UploadRefused as fault:
        said = fault.sentence
    seconds = time.process_time() - start
    print(json.dumps([Path(name).name, memory("VmHWM") - before, seconds, said]), flush=True)
"""


@pytest.mark.parametrize(
    ("count", "megabytes"), [(2000, 30), pytest.param(100_000, 200, marks=pytest.mark.faults)]
)
def test_hostile_files_take_little_memory_and_time(tmp_path: Path, count: int, megabytes: int) -> None:
    names = []
    for name, make in HOSTILE.items():
        (tmp_path / name).write_bytes(make(count)[: 671 * count])
        names.append(str(tmp_path / name))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(count), *names],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in measured] == list(HOSTILE)
    assert [row for row in measured if row[1] > megabytes] == []
    assert [row for row in measured if row[2] > 5] == []
