"""`/cutout`: habit words from other services, which come to the same request as `/sync`."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.app import declared_surveys
from dali.errors import UsageError
from dali.parameters import Parameters
from soda.habits import Habits
from soda.params import parse_request
from surveys.identifiers import Identifiers
from surveys.request import CutoutRequest
from surveys.sky.stencil import CenteredBox, Size
from tests.support.service import BASE, did, settings_of

IDENTIFIERS = Identifiers(BASE)
PLACE = {"ra": "150.0", "dec": "0.0"}
HERE = {**PLACE, "survey": "tiny", "bands": "g", "format": "fits", "size": "20px"}

LETTERS = """
title = "Letters"
kind = "coadd"
root = "letters"
pixel_scale = 1.0
dataset = "{tile}"
[bands]
g = { em_min_m = 400e-9, em_max_m = 550e-9 }
r = { em_min_m = 560e-9, em_max_m = 700e-9 }
gr = { em_min_m = 400e-9, em_max_m = 700e-9 }
[layers.image]
path = "{tile}_{band}.fits"
"""


@pytest.fixture(scope="module")
def habits(tmp_path_factory: pytest.TempPathFactory) -> Habits:
    from tests.support.service import write_surveys

    folder = tmp_path_factory.mktemp("habits")
    write_surveys(folder)
    (folder / "declarations" / "letters.toml").write_text(LETTERS)
    (folder / "letters").mkdir()
    return Habits(declared_surveys(settings_of(folder)), IDENTIFIERS)


def translated(habits: Habits, **words: str) -> CutoutRequest:
    asked = {"ra": "150.1", "dec": "2.2", "survey": "tiny", **words}
    parameters = Parameters.from_pairs((name, text) for name, text in asked.items() if text)
    return parse_request(habits.translate(parameters), IDENTIFIERS).cutout


def get(client: FlaskClient, **words: str) -> TestResponse:
    return client.get("/cutout", query_string=urlencode(words))


def test_one_url_is_a_request_of_sync_with_the_same_bytes(client: FlaskClient) -> None:
    answer = get(client, **HERE)
    assert answer.status_code == 200, answer.text
    said = {"ID": did("tiny"), "CENTER": "150 0", "SIZE": "20px", "FILTER": "g"}
    same = client.get("/sync", query_string=urlencode(said))
    assert answer.data == same.data
    for name in ("ETag", "Link", "Content-Type", "Content-Disposition", "X-Cutout-Clipped"):
        assert answer.headers[name] == same.headers[name]
    link = answer.headers["Link"]
    assert link == (
        f'<http://localhost/sync?ID={BASE}?tiny&CENTER=150+0&SIZE=20px&FILTER=g>; rel="canonical"'
    )
    assert client.get(link[1:].partition(">")[0]).data == answer.data


def test_a_picture_is_what_a_browser_gets(habits: Habits) -> None:
    found = translated(habits)
    assert found.picture is not None
    assert found.picture.media_type == "image/png"
    assert found.stencil == CenteredBox(150.1, 2.2, Size(256.0, 256.0, in_pixels=True))
    assert found.dataset == "tiny"
    assert not found.filters


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ((150.1, 2.2), {"ra": "10:00:24", "dec": "+02:12:00"}),
        ((150.1, 2.2), {"ra": "10h00m24s", "dec": "2d12m"}),
        ((150.1, -2.2), {"RA": "150.1", "Dec": "-02:12:00", "ra": "", "dec": ""}),
        ((150.1, 2.2), {"ra": "", "dec": "", "pos": "150.1,2.2"}),
        ((150.1, 2.2), {"ra": "", "dec": "", "pos": "10:00:24 +02:12:00"}),
    ],
)
def test_positions(habits: Habits, position: tuple[float, float], words: dict[str, str]) -> None:
    stencil = translated(habits, **words).stencil
    assert isinstance(stencil, CenteredBox)
    assert (stencil.ra_deg, stencil.dec_deg) == position


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ({"size": "300"}, Size(300.0, 300.0, in_pixels=True)),
        ({"size": "300px"}, Size(300.0, 300.0, in_pixels=True)),
        ({"size": "2'"}, Size(2 / 60, 2 / 60, in_pixels=False)),
        ({"size": "30arcsec"}, Size(30 / 3600, 30 / 3600, in_pixels=False)),
        ({"width": "300", "height": "200"}, Size(300.0, 200.0, in_pixels=True)),
        ({"width": "0.1deg", "height": "3'"}, Size(0.1, 0.05, in_pixels=False)),
    ],
)
def test_sizes(habits: Habits, words: dict[str, str], size: Size) -> None:
    stencil = translated(habits, **words).stencil
    assert isinstance(stencil, CenteredBox)
    assert stencil.size == size


def test_pixel_scale_is_that_of_a_gnomonic_grid(habits: Habits) -> None:
    for text in ("0.36", "0.36arcsec", '0.36"'):
        mosaic = translated(habits, pixscale=text).mosaic
        assert mosaic.grid == "tan"
        assert mosaic.pixscale_deg == 0.36 / 3600
    box = translated(habits, pixscale="0.36", size="100px").stencil
    assert isinstance(box, CenteredBox)
    assert box.size.width == pytest.approx(36 / 3600, rel=1e-12)
    with pytest.raises(UsageError, match="PIXSCALE is that of GRID=tan"):
        translated(habits, pixscale="0.36", grid="native")


@pytest.mark.parametrize(
    ("text", "labels"),
    [("g", ("g",)), ("g,r", ("g", "r")), ("r g", ("g", "r")), ("gr", ("g", "r")), ("rgr", ("g", "r"))],
)
def test_bands_in_every_habit(habits: Habits, text: str, labels: tuple[str, ...]) -> None:
    assert translated(habits, bands=text).filters == labels
    assert translated(habits, band=text).filters == labels


def test_bands_that_can_be_read_in_two_ways_are_refused_with_both(habits: Habits) -> None:
    with pytest.raises(UsageError) as caught:
        translated(habits, survey="letters", bands="gr")
    assert caught.value.sentence == 'BANDS "gr" can be read in two ways: as the band gr, or as g,r.'
    assert caught.value.fix == "Write bands=g,r for these, or survey=letters/gr for the one."
    assert translated(habits, survey="letters/gr").dataset == "letters/gr"
    assert translated(habits, survey="letters", bands="g,r").filters == ("g", "r")


def test_surveys_by_name_or_identifier(habits: Habits) -> None:
    for words in ({"survey": "TINY/g"}, {"survey": "", "layer": "tiny/g"}, {"survey": did("tiny/g")}):
        assert translated(habits, **words).dataset.lower() == "tiny/g"


def test_words_of_pictures_in_lower_case(habits: Habits) -> None:
    words = {
        "rgb": "r,g,g",
        "q": "8",
        "softening": "0.02",
        "orient": "north",
        "label": "M 17",
        "format": "jpg",
    }
    picture = translated(habits, **words, quality="80", draw="scalebar").picture
    assert picture is not None
    assert (picture.bands, picture.q, picture.softening) == (("r", "g", "g"), 8.0, 0.02)
    assert (picture.orient, picture.label, picture.media_type) == ("north", "M 17", "image/jpeg")
    assert (picture.width, picture.height, picture.quality) == (None, None, 80)


def test_outside_the_footprint_is_404_with_one_sentence(client: FlaskClient) -> None:
    answer = get(client, **HERE | {"ra": "100"})
    assert answer.status_code == 404
    first, fix, _ = answer.text.splitlines()
    assert first == "UsageError: tiny has no data at RA, Dec 100 0 (ICRS degrees) that this asks for."
    assert fix == "What there is: /query?POS=CIRCLE 100 0 0.01"
    assert answer.headers["Cache-Control"] == "no-store"


def test_head_and_304(client: FlaskClient) -> None:
    answer = get(client, **HERE)
    head = client.head("/cutout", query_string=urlencode(HERE))
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(answer.data))
    again = client.get(
        "/cutout", query_string=urlencode(HERE), headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"size": "1.5"}, "whole number of pixels, or has a unit"),
        ({"size": "0"}, "SIZE must be at least 1 pixel"),
        ({"size": "30arcsec", "width": "10", "height": "10"}, "SIZE and WIDTH and HEIGHT each are a size"),
        ({"width": "10px"}, "WIDTH is one side of two"),
        ({"width": "10px", "height": "10arcsec"}, "both pixels, or both angles"),
        ({"width": "10 20px", "height": "10px"}, "WIDTH is one number"),
        ({"ra": ""}, "RA is missing"),
        ({"ra": "", "dec": ""}, "RA and DEC are missing"),
        ({"pos": "150 0"}, "POS and RA with DEC each are a position"),
        ({"pos": "CIRCLE 1 2 3", "ra": "", "dec": ""}, "POS is a right ascension and a declination"),
        ({"ra": "10:30"}, "in two ways, as hours or as degrees"),
        ({"ra": "M31"}, "RA is a right ascension"),
        ({"dec": "95"}, "DEC: the latitude must be -90 to 90"),
        ({"survey": ""}, "SURVEY is missing"),
        ({"bands": "u"}, 'BANDS: there is no band "u"; there are g, r'),
        ({"bands": "gru"}, 'there is no band "gru"'),
        ({"bands": ","}, "BANDS has no value"),
        ({"format": "gif"}, "FORMAT is fits"),
        ({"pixscale": "0"}, 'PIXSCALE is an angle from 0.001arcsec to 1deg; got "0arcsec"'),
        ({"pixscale": "1px"}, "PIXSCALE has a unit"),
        ({"pixscale": "1e"}, "PIXSCALE has a unit"),
        ({"q": "8", "format": "png"}, 'Q is for colour pictures of several bands, and BANDS leaves one, "g"'),
        ({"stretch": "log"}, "STRETCH is for pictures, and FORMAT is application/fits"),
        ({"siez": "10"}, "Did you mean SIZE?"),
        ({"zoom": "3"}, "ZOOM is not a parameter"),
        ({"circle": "1 2 3"}, "CIRCLE is not a parameter"),
        ({"id": "x"}, "ID is not a parameter"),
    ],
)
def test_what_is_wrong_is_said_in_the_same_words(
    client: FlaskClient, words: dict[str, str], said: str
) -> None:
    unsized = {"size": ""} if "width" in words else {}
    answer = get(client, **{name: text for name, text in (HERE | unsized | words).items() if text})
    assert answer.status_code == 400, answer.text
    assert answer.text.startswith("UsageError: ")
    assert said in answer.text


def test_unknown_surveys_are_404_and_the_others_are_named(client: FlaskClient) -> None:
    answer = get(client, **HERE | {"survey": "tinny"})
    assert answer.status_code == 404
    assert 'there is no survey "tinny"' in answer.text
    assert "tiny" in answer.text.splitlines()[1]
    assert "secret" not in answer.text
    assert get(client, **HERE | {"survey": "ivo://elsewhere/x?tiny"}).status_code == 404


def test_a_word_said_twice(client: FlaskClient) -> None:
    for twice in ("survey=tiny&layer=tiny", "survey=tiny&band=g&bands=r", "survey=tiny&ra=1"):
        answer = client.get(f"/cutout?ra=150&dec=0&{twice}")
        assert answer.status_code == 400
        assert answer.text.startswith("MultiValuedParamNotSupported: ")


def test_nothing_asked_tells_how(client: FlaskClient) -> None:
    answer = client.get("/cutout")
    assert answer.status_code == 400
    assert "/cutout?ra=150.1&dec=2.2&survey=" in answer.text


def test_commands_in_errors_keep_their_words(client: FlaskClient) -> None:
    answer = get(client, **HERE | {"size": "190px"})
    assert answer.status_code == 400
    (command,) = (line for line in answer.text.splitlines() if "curl -d" in line)
    assert "&FILTER=g&PHASE=RUN" in command
