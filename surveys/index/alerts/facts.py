"""What is told of an alert, or of an object, before a stamp is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surveys.access import Reader
from surveys.alert import AlertName, AlertRecord, candid_of
from surveys.errors import AccessDenied, TooLarge, UnknownAlert, UnknownDataset
from surveys.index.facts import DatasetFacts
from surveys.lake import Lake
from surveys.request import CutoutRequest, Interval
from surveys.sky.stencil import Circle
from surveys.survey import Survey

if TYPE_CHECKING:
    from surveys.index.alerts.catalog import AlertCatalog


def describe_alerts(
    survey: Survey, lake: Lake, dataset: str, alerts: AlertCatalog, reader: Reader
) -> DatasetFacts:
    """Tell what is known of an alert, of those of an object, or of one kind of their stamps.

    Nothing is told of alerts that `reader` may not read.

    Raises
    ------
    AccessDenied
        If they may read none.
    UnknownDataset
        If there is none of this name, or it does not say which of the two it is.
    TooLarge
        If an object has more alerts than are looked up.
    """
    name = AlertName.parse(dataset, lake)
    if name is None:
        # Where some are closed, what there is is not for everybody.
        raise unnamed(survey, dataset, None if survey.access.datasets else alerts)
    if name.what == "alert":
        found: tuple[AlertRecord, ...] = (alerts.alert(survey, name.candid),)
        key = str(found[0].candid)
    else:
        found = alerts.epochs(survey, name.key)
        key = found[0].object_id
    spelled = f"{survey.name}/{name.what}/{key}"
    there = len(found)
    if not survey.is_public:
        found = tuple(alert for alert in found if survey.access.may_read(alert.dataset, reader))
    if not found:
        raise AccessDenied(f"{survey.name} has alerts among these that are not open to you")
    labels = {alert.band for alert in found}
    bands = [band for band in survey.bands if band.label in labels] or survey.bands
    first = found[0]
    return DatasetFacts(
        dataset=f"{spelled}/{name.kind}" if name.kind else spelled,
        survey=survey,
        image=None,
        circle=Circle(first.ra_deg, first.dec_deg, lake.stamp_radius_deg),
        polygon=None,
        band_m=Interval(min(band.em_min_m for band in bands), max(band.em_max_m for band in bands)),
        time_mjd=Interval(first.mjd, found[-1].mjd),
        pol_states=(),
        filters=tuple(band.label for band in survey.bands if band.label in labels),
        sample=first.dataset,
        example=CutoutRequest(first.dataset, None),
        on_sky=False,
        alerts=found,
        kinds=(name.kind,) if name.kind else tuple(kind.name for kind in lake.stamps),
        is_whole=len(found) == there,
    )


def unnamed(survey: Survey, dataset: str, alerts: AlertCatalog | None) -> UnknownAlert:
    """Say how alerts and objects are named, where an identifier does not say which of the two it means.

    `alerts`: tells what there is; None where that is not to be told.
    """
    _, *rest = dataset.split("/")
    alert, thing = f"{survey.name}/alert/", f"{survey.name}/object/"
    is_bare = len(rest) == 1 and rest[0].lower() not in ("", "alert", "object") and rest[0].isprintable()
    if not is_bare:
        return UnknownAlert(
            f"{survey.name} is a survey of alerts: name one, {alert}<number>, or an object, "
            f"{thing}<name>, for all that there are of it; /query?POS=… finds them by place"
        )
    key = rest[0]
    sentence = f"{key} may be an alert or an object of {survey.name}: write {alert}{key} or {thing}{key}"
    if alerts is None:
        return UnknownAlert(sentence)
    there = [f"{alert}{key}"] if _is_alert(survey, key, alerts) else []
    there += [f"{thing}{key}"] if _is_object(survey, key, alerts) else []
    is_there = f"{'are' if len(there) > 1 else 'is'} {' and '.join(there) or 'neither'}"
    return UnknownAlert(f"{sentence} (there {is_there})")


def _is_alert(survey: Survey, key: str, alerts: AlertCatalog) -> bool:
    candid = candid_of(key)
    return candid is not None and bool(alerts.by_candid(survey, [candid]))


def _is_object(survey: Survey, key: str, alerts: AlertCatalog) -> bool:
    try:
        return bool(alerts.epochs(survey, key))
    except UnknownDataset:
        return False
    except TooLarge:
        return True
