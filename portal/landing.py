"""``/``: what the service is for, at once: a place, a survey and a size; pictures made now; how to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from flask import Blueprint, Response, request

from accounts.quota.document import Stand
from dali.caller import Caller, caller_in
from portal.account import quota_line
from portal.pages import Pages
from portal.policy import RESOLVER, PagePolicy
from portal.position import Place
from portal.status import StatusKeeper, headline_of
from portal.surveys import SurveysShown

POLICY = PagePolicy(connect=(RESOLVER,))
PICTURES = 3
PICTURE_PX = 240
PICTURE_SIZE, PICTURE_QUALITY = f"{PICTURE_PX}px", "75"
#: Of so many surveys it is told what they are.
FEW = 3
DEFAULT_SIZE = "1arcmin"
SIZES = ("30arcsec", "1arcmin", "2arcmin", "5arcmin")
_COLOURS = 3
_COLOUR_MAP = "inferno"
#: Single exposures are put together where several have a place.
_ONE_OF_SEVERAL = {"combine": "mosaic"}


@dataclass(frozen=True, slots=True)
class Landing:
    """What the page is made of.

    Parameters
    ----------
    shown
        The surveys.
    sights
        Places worth looking at, by the names of surveys; of others it is where an image is.
    stand_of
        Tells how the quotas of a caller stand.
    keeper
        Knows how the service is.
    """

    shown: SurveysShown
    sights: Mapping[str, Sequence[Place]]
    stand_of: Callable[[Caller], Stand]
    keeper: StatusKeeper


@dataclass(frozen=True, slots=True)
class Picture:
    """A cutout that is made for the page.

    Parameters
    ----------
    query
        Of ``/cutout``.
    explore
        Of ``/explore``, about the same place.
    title
        What is seen.
    """

    query: str
    explore: str
    title: str


def make_blueprint(pages: Pages, landing: Landing, base_url: Callable[[], str]) -> Blueprint:
    """Make the page."""
    blueprint = Blueprint("landing", __name__)

    @blueprint.get("/")
    def show() -> Response:
        caller = caller_in(request.environ)
        told = landing.shown.told(caller)
        held = [survey for survey in told["surveys"] if survey["images"] and survey["center"]]
        coadds = [survey for survey in held if survey["kind"] == "coadd"]
        stand = landing.stand_of(caller)
        return pages.render(
            "landing.html",
            scripts=("landing.js",),
            policy=POLICY,
            surveys=told["surveys"],
            few=FEW,
            limits=told["limits"],
            held=held,
            stamped=next((survey for survey in told["surveys"] if survey["alerts"]), None),
            pictures=list(pictures_of(held, landing.sights)),
            picture_px=PICTURE_PX,
            sizes=SIZES,
            default_size=DEFAULT_SIZE,
            start=_start(held, landing.sights),
            ways=ways_to_ask(base_url(), coadds[0], landing.sights) if coadds else {},
            quotas=[quota_line(one) for one in stand.standings],
            rate=stand.rate.per_minute if stand.rate else 0,
            base_url=base_url(),
            health=headline_of(landing.keeper.last()),
        )

    return blueprint


def pictures_of(
    surveys: Sequence[Mapping[str, Any]], sights: Mapping[str, Sequence[Place]]
) -> Iterator[Picture]:
    """Choose pictures: one of each survey in turn, of other places or in another way where there are few."""
    if not surveys:
        return
    for number in range(PICTURES):
        survey, turn = surveys[number % len(surveys)], number // len(surveys)
        yield _picture(survey, _places(survey, sights), turn)


def _picture(survey: Mapping[str, Any], places: Sequence[Place], turn: int) -> Picture:
    """Take a picture of a survey: in colours of each place, then in one band."""
    place = places[turn % len(places)]
    recipe = next((one["name"] for one in survey["recipes"] if len(one["bands"]) == _COLOURS), "")
    in_colour = bool(recipe) and turn < len(places)
    bands = [band["name"] for band in survey["bands"] if band["images"]]
    band = bands[turn % len(bands)]
    ra, dec = place.decimal.split()
    words = {"ra": ra, "dec": dec, "survey": survey["name"]}
    words |= {"recipe": recipe} if in_colour else {"bands": band}
    size = PICTURE_SIZE if survey["pixel_scale_arcsec"] else DEFAULT_SIZE
    words |= {"size": size, "format": "jpeg", "quality": PICTURE_QUALITY}
    if turn and not in_colour:
        words["cmap"] = _COLOUR_MAP
    words |= _ONE_OF_SEVERAL if survey["kind"] == "exposures" else {}
    state = {"survey": survey["name"], "at": place.decimal, "size": size}
    if not in_colour:
        state["bands"] = band
    what = survey["title"] if in_colour else f"{survey['title']}, {band}"
    return Picture(_query(words), _query(state), what)


def ways_to_ask(
    base_url: str, survey: Mapping[str, Any], sights: Mapping[str, Sequence[Place]]
) -> Mapping[str, str]:
    """Write requests that work as they stand, about a place of a survey: each is run by a test."""
    place = _places(survey, sights)[0]
    ra, dec = place.decimal.split()
    band = next(band for band in survey["bands"] if band["images"])
    one = {
        "ra": ra,
        "dec": dec,
        "survey": f"{survey['name']}/{band['name']}",
        "size": "30arcsec",
        "format": "fits",
    }
    other = f"{(place.ra_deg + 0.01) % 360:.4f}".rstrip("0")
    return {
        "curl": f"curl -OJ '{base_url}/cutout?{_query(one)}'",
        "csv": f"ra,dec,id\n{ra},{dec},first\n{other},{dec},second",
        "list": (
            f"curl -L -F UPLOAD=targets,param:t -F t=@list.csv \\\n"
            f"  -F ID='{survey['did']}' -F SIZE=30arcsec \\\n"
            f"  -F PHASE=RUN {base_url}/async"
        ),
        "pyvo": (
            "from astropy.io import fits\n"
            "from pyvo.dal.adhoc import SodaQuery\n"
            "\n"
            f'query = SodaQuery("{base_url}/sync")\n'
            f'query["ID"] = "{band["did"]}"\n'
            f'query["CIRCLE"] = "{ra} {dec} 0.005"\n'
            "hdus = fits.HDUList.fromstring(query.execute_stream().read())"
        ),
    }


def _start(surveys: Sequence[Mapping[str, Any]], sights: Mapping[str, Sequence[Place]]) -> str:
    return _places(surveys[0], sights)[0].decimal if surveys else ""


def _places(survey: Mapping[str, Any], sights: Mapping[str, Sequence[Place]]) -> Sequence[Place]:
    return sights.get(survey["name"]) or (Place(survey["center"][0], survey["center"][1], "equatorial"),)


def _query(words: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote_plus(value, safe=':/')}" for name, value in words.items())
