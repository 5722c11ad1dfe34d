"""Tables as people have them: of spreadsheets, catalogue services, programs, papers and mails.

Each has the same two targets, M 31 and NGC 4030; tables without names for them have none.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.soda.targets.support import rows, votable

M31, N4030 = (10.68471, 41.26875), (180.09858, -1.10016)


@dataclass(frozen=True)
class Ugly:
    """A table.

    Parameters
    ----------
    what
        Where it is from.
    text
        The file.
    ids
        Names that are found.
    name
        Of the file.
    rejected
        Further rows, each told with its line.
    """

    what: str
    text: str | bytes
    ids: tuple[str, str] = ("M 31", "NGC 4030")
    name: str = "list.txt"
    rejected: int = 0


NONE = ("", "")
UGLY = (
    Ugly(
        "Excel, saved as CSV UTF-8",
        "\ufeffName,RA,Dec\r\nM 31,10.68471,41.26875\r\nNGC 4030,180.09858,-1.10016\r\n",
        name="a.csv",
    ),
    Ugly(
        "Excel in Europe",
        "Name;RA;Dec\r\nM 31;10.68471;41.26875\r\nNGC 4030;180.09858;-1.10016\r\n",
        name="a.csv",
    ),
    Ugly(
        "a spreadsheet with empty rows and columns",
        "Name,RA,Dec,,\nM 31,10.68471,41.26875,,\n,,,,\nNGC 4030,180.09858,-1.10016,,\n,,,,\n",
    ),
    Ugly(
        "a spreadsheet with a title",
        "Targets for March,,\n,,\nName,RA,Dec\nM 31,10.68471,41.26875\nNGC 4030,180.09858,-1.10016\n",
        name="a.csv",
    ),
    Ugly(
        "cells of a spreadsheet, pasted",
        "Name\tRA\tDec\nM 31\t10.68471\t41.26875\nNGC 4030\t180.09858\t-1.10016",
    ),
    Ugly(
        "an old Macintosh",
        "Name,RA,Dec\rM 31,10.68471,41.26875\rNGC 4030,180.09858,-1.10016\r",
    ),
    Ugly(
        "blanks after commas",
        "Name, RA, Dec\nM 31, 10.68471, 41.26875\nNGC 4030, 180.09858, -1.10016\n",
    ),
    Ugly(
        "everything quoted",
        '"Name","RA","Dec"\n"M 31","10.68471","41.26875"\n"NGC 4030","180.09858","-1.10016"\n',
    ),
    Ugly(
        "pandas with its index",
        ",Name,RA,Dec\n0,M 31,10.68471,41.26875\n1,NGC 4030,180.09858,-1.10016\n",
    ),
    Ugly(
        "R, whose rows have names",
        '"Name" "RA" "Dec"\n"1" "M 31" 10.68471 41.26875\n"2" "NGC 4030" 180.09858 -1.10016\n',
    ),
    Ugly(
        "numpy.savetxt",
        "# RA Dec\n1.068471e+01 4.126875e+01\n1.8009858e+02 -1.10016e+00\n",
        NONE,
    ),
    Ugly(
        "two columns without names",
        "10.68471 41.26875\n180.09858 -1.10016\n",
        NONE,
    ),
    Ugly(
        "two columns, sexagesimal",
        "00:42:44.33 +41:16:07.5\n12:00:23.66 -01:06:00.6\n",
        NONE,
    ),
    Ugly(
        "TOPCAT, as ASCII",
        '# Name RA Dec\n  "M 31" 10.68471 41.26875\n  "NGC 4030" 180.09858 -1.10016\n',
    ),
    Ugly(
        "TOPCAT, after a match",
        "Name_1,RA_1,Dec_1,RA_2,Dec_2,Separation\n"
        "M 31,10.68471,41.26875,10.7,41.3,3\n"
        "NGC 4030,180.09858,-1.10016,180.1,-1.1,1\n",
    ),
    Ugly(
        "VizieR",
        "#RESOURCE=yCat\n"
        "#Column _RAJ2000\n"
        "\n"
        "Name\t_RAJ2000\t_DEJ2000\n"
        "\tdeg\tdeg\n"
        "----\t---\t---\n"
        "M 31\t10.68471\t41.26875\n"
        "NGC 4030\t180.09858\t-1.10016\n"
        "\n"
        "#END#\n",
        name="asu.tsv",
    ),
    Ugly(
        "SkyServer",
        "#Table1\nname,ra,dec,run\nM 31,10.68471,41.26875,1\nNGC 4030,180.09858,-1.10016,2\n",
        name="a.csv",
    ),
    Ugly(
        "NED, between bars",
        "Results from query to NASA/IPAC Extragalactic Database (NED)\n"
        "Search results for: two names\n"
        "\n"
        "No.|Object Name|RA|DEC|Type\n"
        "1|M 31|10.68471|41.26875|G\n"
        "2|NGC 4030|180.09858|-1.10016|G\n",
        name="ned.txt",
    ),
    Ugly(
        "SExtractor",
        "#   1 NUMBER                 Running object number\n"
        "#   2 ALPHA_J2000            Right ascension of barycenter (J2000)  [deg]\n"
        "#   3 DELTA_J2000            Declination of barycenter (J2000)      [deg]\n"
        "#   4 MAG_AUTO               Kron-like elliptical aperture magnitude [mag]\n"
        "         1  10.6847100  41.2687500  3.4\n"
        "         2 180.0985800  -1.1001600  10.6\n",
        NONE,
    ),
    Ugly(
        "a catalogue with units in names",
        "Name,RAJ2000 [deg],DEJ2000 [deg]\nM 31,10.68471,41.26875\nNGC 4030,180.09858,-1.10016\n",
    ),
    Ugly(
        "RA in hours",
        "Name,RA [hours],Dec [deg]\nM 31,0.712314,41.26875\nNGC 4030,12.006572,-1.10016\n",
    ),
    Ugly(
        "names with blanks and brackets",
        "Target Name,RA (J2000),Dec (J2000)\n"
        "M 31,00:42:44.33,+41:16:07.5\n"
        "NGC 4030,12:00:23.66,-01:06:00.6\n",
    ),
    Ugly(
        "hours and degrees by their letters",
        "Name,RA,Dec\nM 31,00h42m44.33s,+41d16m07.5s\nNGC 4030,12h00m23.66s,-01d06m00.6s\n",
    ),
    Ugly(
        "blanks within sexagesimal cells",
        "Name,RA,Dec\nM 31,00 42 44.33,+41 16 07.5\nNGC 4030,12 00 23.66,-01 06 00.6\n",
    ),
    Ugly(
        "signs of degrees, minutes and seconds",
        "Name,RA,Dec\nM 31,00h42m44.33s,+41°16′07.5″\nNGC 4030,12h00m23.66s,-01°06′00.6″\n",
    ),
    Ugly(
        "a minus of a PDF",
        "Name,RA,Dec\nM 31,10.68471,41.26875\nNGC 4030,180.09858,−1.10016\n",
    ),
    Ugly(
        "blanks that do not break",
        "Name,RA,Dec\nM 31,10.68471\xa0,\xa041.26875\nNGC 4030,180.09858,-1.10016\xa0\n",
    ),
    Ugly(
        "a table of Markdown",
        "| Name | RA | Dec |\n"
        "|:-----|---:|----:|\n"
        "| M 31 | 10.68471 | 41.26875 |\n"
        "| NGC 4030 | 180.09858 | -1.10016 |\n",
    ),
    Ugly(
        "psql, with its count",
        "   name   |    ra     |   dec    \n"
        "----------+-----------+----------\n"
        " M 31     |  10.68471 | 41.26875\n"
        " NGC 4030 | 180.09858 | -1.10016\n"
        "(2 rows)\n",
    ),
    Ugly(
        "mysql",
        "+----------+-----------+----------+\n"
        "| name     | ra        | dec      |\n"
        "+----------+-----------+----------+\n"
        "| M 31     |  10.68471 | 41.26875 |\n"
        "| NGC 4030 | 180.09858 | -1.10016 |\n"
        "+----------+-----------+----------+\n",
    ),
    Ugly(
        "astropy, as it prints",
        "  Name      RA       Dec   \n"
        "           deg       deg   \n"
        "--------- ---------- ---------\n"
        "      M31   10.68471   41.26875\n"
        "  NGC4030  180.09858   -1.10016\n",
        ("M31", "NGC4030"),
        name="print.txt",
    ),
    Ugly(
        "a table of LaTeX",
        "Name & RA & Dec \\\\\n"
        "\\hline\n"
        "M 31 & 10.68471 & 41.26875 \\\\\n"
        "NGC 4030 & 180.09858 & $-1.10016$ \\\\\n"
        "\\hline\n",
        name="table.tex",
    ),
    Ugly(
        "remarks between rows",
        "Name,RA,Dec\n"
        "# good seeing\n"
        "M 31,10.68471,41.26875\n"
        "\n"
        "# to be repeated\n"
        "NGC 4030,180.09858,-1.10016\n",
    ),
    Ugly(
        "rows without a place",
        "Name,RA,Dec\nM 31,10.68471,41.26875\nunknown,,\nlost,nan,--\nNGC 4030,180.09858,-1.10016\n",
        rejected=2,
    ),
    Ugly(
        "the names of Rubin",
        "objectId,coord_ra,coord_dec\nM 31,10.68471,41.26875\nNGC 4030,180.09858,-1.10016\n",
    ),
    Ugly(
        "a table in Portuguese",
        "Nome;AR;Dec\nM 31;10.68471;41.26875\nNGC 4030;180.09858;-1.10016\n",
    ),
    Ugly(
        "Latin letters of Windows",
        b"Name,RA,Dec,Nota\nM 31,10.68471,41.26875,gal\xe1xia\nNGC 4030,180.09858,-1.10016,n\xe3o\n",
    ),
    Ugly(
        "JSON of a script",
        '[{"name": "M 31", "RA": 10.68471, "DEC": 41.26875},\n'
        ' {"name": "NGC 4030", "RA": 180.09858, "DEC": -1.10016}]\n',
        name="a.json",
    ),
    Ugly(
        "regions of DS9 without a head",
        'fk5;circle(10.68471,41.26875,30") # text={M 31}\n'
        'fk5;circle(180.09858,-1.10016,30") # text={NGC 4030}\n',
        name="ds9.reg",
    ),
    Ugly(
        "a VOTable without UCDs",
        votable(
            rows(("M 31", *M31), ("NGC 4030", *N4030)),
            '<FIELD name="Name" datatype="char" arraysize="*"/>'
            '<FIELD name="RA" datatype="double"/><FIELD name="DEC" datatype="double"/>',
        ),
        name="a.vot",
    ),
)
