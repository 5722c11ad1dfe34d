"""``/surveys``: what there is to cut, for whom asks, and how much of it at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from dali.caller import Caller, caller_in
from dali.errors import UsageError, quoted
from dali.parameters import refuse_unknown
from dali.responses import JSON
from dali.views import read_parameters
from dali.xtypes import parse_size
from portal.position import Place, parse_place
from surveys.access import Reader
from surveys.errors import TooLarge, UnknownDataset
from surveys.identifiers import Identifiers
from surveys.index.catalog import Catalog
from surveys.index.coverage import Coverages
from surveys.index.obscore import ObsConstraints
from surveys.lake import StampKind
from surveys.lru import Lru
from surveys.recipe import Recipe
from surveys.sky.stencil import Circle
from surveys.survey import Band, Survey

_NAMES = ("POS", "SIZE")
#: Numbers of recipes that people may want to see.
_NUMBERS = ("q", "softening", "contrast", "saturation", "stretch", "variant", "unit")
_SKY_DEG2 = 41252.96125
_ARCSEC = 1 / 3600
_KEPT = 256
#: So many alerts near a place tell which bands there are.
_ALERTS_LOOKED_AT = 1000


class SurveysShown:
    """The surveys of the service, told to people and their scripts.

    Parameters
    ----------
    catalog, coverages
        The image index.
    identifiers
        Publisher DIDs.
    reader_of
        Tells what a caller may read.
    hips_of
        Gives the names of the HiPS of a survey that a caller may see: of its bands, and ``color-…``.
    limits
        How much may be asked for, by name.
    """

    def __init__(
        self,
        catalog: Catalog,
        coverages: Coverages,
        identifiers: Identifiers,
        reader_of: Callable[[Caller], Reader],
        hips_of: Callable[[Survey, Caller], Sequence[str]],
        limits: Mapping[str, float],
    ) -> None:
        self.limits = limits
        self._catalog = catalog
        self._coverages = coverages
        self._identifiers = identifiers
        self._reader_of = reader_of
        self._hips_of = hips_of
        self._kept: Lru[tuple[str, int], dict[str, Any]] = Lru(_KEPT)

    def open_to(self, caller: Caller) -> list[Survey]:
        """List the surveys of which a caller may read some: of images first, empty ones last."""
        reader = self._reader_of(caller)
        found = [survey for survey in self._catalog.surveys if survey.access.may_enter(reader)]
        return sorted(
            found, key=lambda survey: (not self._catalog.generation(survey.name), survey.lake is not None)
        )

    def told(self, caller: Caller, place: Place | None = None, radius_deg: float = 0.0) -> dict[str, Any]:
        """Tell of all of them; with a place, which bands have images there."""
        surveys = []
        for survey in self.open_to(caller):
            told = self._told(survey, caller)
            if place is not None:
                covered = self.covering(survey, place, radius_deg)
                bands = [{**band, "covered": band["name"] in covered} for band in told["bands"]]
                told = {**told, "bands": bands}
            surveys.append(told)
        return {"surveys": surveys, "limits": dict(self.limits)}

    def covering(self, survey: Survey, place: Place, radius_deg: float = 0.0) -> frozenset[str]:
        """Tell which bands of a survey have an image, or an alert, within a radius of a place."""
        generation = self._catalog.generation(survey.name)
        if not generation:
            return frozenset()
        labels = [band.label for band in survey.bands]
        circle = Circle(place.ra_deg, place.dec_deg, max(radius_deg, _ARCSEC))
        if survey.lake is not None:
            near = self._catalog.alerts.search(survey, ObsConstraints(shapes=(circle,)))
            return frozenset(alert.band for alert in islice(near, _ALERTS_LOOKED_AT) if alert.band)
        try:
            found = self._catalog.search(survey.name, labels, circle.region(), generation)
        except TooLarge:
            return frozenset(labels)
        return frozenset(one.band for one in found)

    def _told(self, survey: Survey, caller: Caller) -> dict[str, Any]:
        generation = self._catalog.generation(survey.name)
        # A HiPS that is published meanwhile is told of at once: looking for it is quick.
        made = frozenset(self._hips_of(survey, caller))
        known = self._kept.get((survey.name, generation), lambda: self._made(survey))
        bands = [
            {**band, "hips": f"hips/{survey.name}/{band['name']}" if band["name"] in made else None}
            for band in known["bands"]
        ]
        colour = next((name for name in sorted(made) if name.startswith("color-")), None)
        return {**known, "bands": bands, "hips": f"hips/{survey.name}/{colour}" if colour else None}

    def _made(self, survey: Survey) -> dict[str, Any]:
        images, alerts = self._counted(survey)
        return {
            "name": survey.name,
            "title": survey.title,
            "description": " ".join(survey.description.split()),
            "credit": survey.credit,
            "kind": survey.kind,
            "did": self._identifiers.did(survey.name),
            "public": survey.is_public,
            "pixel_scale_arcsec": survey.pixel_scale_arcsec,
            "images": sum(images.values()),
            "alerts": sum(alerts.values()),
            "area_deg2": float(f"{self._coverages.of(survey.name).sky_fraction * _SKY_DEG2:.3g}"),
            "center": self._center(survey),
            "bands": [self._band(survey, band, images, alerts) for band in survey.bands],
            "recipes": [_recipe(recipe) for recipe in survey.recipes],
            "moc": f"moc/{survey.name}",
            "stamps": []
            if survey.lake is None
            else [self._stamp(survey, kind) for kind in survey.lake.stamps],
            "example": None if survey.lake is None else self._strip(survey),
        }

    def _counted(self, survey: Survey) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Count the images and the alerts of a survey, by band."""
        if survey.lake is not None:
            return {}, self._catalog.alerts.holdings(survey).alerts
        return self._catalog.holdings(survey.name).images, {}

    def _stamp(self, survey: Survey, kind: StampKind) -> dict[str, Any]:
        """Name a kind of stamp; its identifier is one of lists, whose rows name alerts."""
        return {"name": kind.name, "did": self._identifiers.did(f"{survey.name}/{kind.name}")}

    def _strip(self, survey: Survey) -> str | None:
        """Give a URL of the stamps of an object, where all who know of the survey may see them."""
        alert = None if survey.access.datasets else self._catalog.alerts.sample(survey)
        if alert is None:
            return None
        dataset = f"{survey.name}/object/{alert.object_id}" if alert.object_id else alert.dataset
        return f"sync?ID={quote(self._identifiers.did(dataset), safe=':/?')}&RESPONSEFORMAT=png"

    def _center(self, survey: Survey) -> list[float] | None:
        """Give a place where there is an image, None where there is none."""
        if survey.lake is not None:
            return None
        try:
            facts = self._catalog.describe(survey.name)
            if facts.example is None:
                facts = self._catalog.describe(facts.sample)
        except UnknownDataset:
            return None
        circle = None if facts.example is None else facts.example.stencil
        return [circle.ra_deg, circle.dec_deg] if isinstance(circle, Circle) else None

    def _band(
        self, survey: Survey, band: Band, images: Mapping[str, int], alerts: Mapping[str, int]
    ) -> dict[str, Any]:
        # Bands of alerts are no datasets: FILTER picks epochs.
        did = None if survey.lake is not None else self._identifiers.did(f"{survey.name}/{band.label}")
        return {
            "name": band.label,
            "did": did,
            "em_min_m": band.em_min_m,
            "em_max_m": band.em_max_m,
            "images": images.get(band.label, 0),
            "alerts": alerts.get(band.label, 0),
        }


def make_blueprint(shown: SurveysShown) -> Blueprint:
    """Make the resource."""
    blueprint = Blueprint("surveys", __name__)

    @blueprint.get("/surveys")
    def show() -> Response:
        parameters = read_parameters(request)
        for fault in refuse_unknown(parameters, frozenset(_NAMES), _NAMES):
            raise fault
        text, size = parameters.one("POS"), parameters.one("SIZE")
        place = parse_place(text, "POS") if text else None
        radius_deg = _half(size) if size else 0.0
        told = shown.told(caller_in(request.environ), place, radius_deg)
        return Response(json.dumps(told), headers={"Cache-Control": "no-cache"}, content_type=JSON)

    return blueprint


def _half(text: str) -> float:
    width, height, in_pixels = parse_size(text, "SIZE")
    if in_pixels:
        raise UsageError(f"SIZE is an angle here; got {quoted(text)}", "Write SIZE=30arcsec or SIZE=2'.")
    return max(width, height) / 2


def _recipe(recipe: Recipe) -> dict[str, Any]:
    numbers = {name: getattr(recipe, name) for name in _NUMBERS}
    suited = {name: value for name, value in numbers.items() if value not in (None, "")}
    return {
        "name": recipe.name,
        "version": recipe.version,
        "algorithm": recipe.algorithm,
        "bands": list(recipe.bands),
        **suited,
    }
