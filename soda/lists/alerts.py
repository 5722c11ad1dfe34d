"""What rows of a list name of surveys of alerts: alerts and objects, and the kinds of their stamps.

A product of alerts is of the dataset ``survey/*`` or ``survey/*/kind``, in which ``*`` stands for what each
row names: ``alert/123`` or ``object/ZTF18abc``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dali.errors import NotFound, UsageError, quoted
from soda.lists.products import EACH
from soda.targets import TargetTable
from surveys.alert import AlertName
from surveys.errors import UnknownDataset
from surveys.lake import Lake
from surveys.survey import Survey

#: Of ``kind``: all there are, in one file.
ALL = "all"
_BETWEEN = re.compile(r"[,;\s]+")


def stamps_of(dataset: str, survey: Survey, said: Mapping[str, str]) -> tuple[str, ...]:
    """Datasets of the products of a row of alerts, by its dataset and its column ``kind``.

    Raises
    ------
    UsageError, NotFound
        If there is no such kind of stamp, or two are said.
    """
    lake = lake_of(survey)
    rest = "/".join(dataset.split("/")[1:])
    _refuse_name(dataset, lake)
    asked = [word for word in _BETWEEN.split(said.get("kind", "")) if word]
    kinds = [_kind(word, survey) for word in asked]
    if rest:
        kind = _kind(rest, survey)
        if kinds and kinds != [kind]:
            raise UsageError(f"the row names the stamp {kind} of {survey.name}, and {quoted(said['kind'])}")
        kinds = [kind]
    return tuple(
        f"{survey.name}/{EACH}/{kind}" if kind else f"{survey.name}/{EACH}"
        for kind in dict.fromkeys(kinds or [""])
    )


def lake_of(survey: Survey) -> Lake:
    """Lake of a survey of alerts."""
    if survey.lake is None:
        raise ValueError(f"{survey.name} is no survey of alerts")
    return survey.lake


def _kind(word: str, survey: Survey) -> str:
    """Kind of stamp as the lake spells it; "" for all of them."""
    if word.lower() == ALL:
        return ""
    if (kind := lake_of(survey).stamp(word)) is None:
        known = ", ".join(one.name for one in lake_of(survey).stamps)
        raise UsageError(
            f"{quoted(word)} is no stamp of {survey.name}; there are {known}",
            f"Write ID=…?{survey.name}/{lake_of(survey).stamps[0].name}; bands are picked by FILTER.",
        )
    return kind.name


def _refuse_name(dataset: str, lake: Lake) -> None:
    """Refuse what names an alert where a survey is meant, as the job's ID; rows' own were taken apart."""
    try:
        name = AlertName.parse(dataset, lake)
    except UnknownDataset as fault:
        raise NotFound(str(fault)) from fault
    if name is not None:
        raise UsageError(
            f"{quoted(dataset)} is one {name.what}, and the rows of the table name theirs",
            f"Write ID=…?{name.survey}, or leave UPLOAD out.",
        )


def with_names(table: TargetTable, survey: Callable[[str], Survey]) -> TargetTable:
    """Take the identifiers of alerts and objects out of the publisher DIDs of a table.

    What is left of these is the survey, and the kind of stamp: one text for many rows.
    """
    dids = table.settings.get("obs_publisher_did", ())
    taken: dict[int, tuple[str, AlertName]] = {}
    lakes: dict[str, Lake | None] = {}
    for row, did in enumerate(dids):
        base, _, dataset = did.strip(" ").partition("?")
        if dataset.count("/") < 2:
            continue
        segment = dataset.partition("/")[0]
        if segment not in lakes:
            lakes[segment] = _lake(segment, survey)
        if (lake := lakes[segment]) is None:
            continue
        try:
            name = AlertName.parse(dataset, lake)
        except UnknownDataset:
            continue  # it is told as a fault of the row when its dataset is looked at
        if name is not None:
            taken[row] = base, name
    if not taken:
        return table
    left, objects, alerts = list(dids), _texts(table.objects, table), _texts(table.alerts, table)
    for row, (base, name) in taken.items():
        left[row] = f"{base}?{name.survey}/{name.kind}" if name.kind else f"{base}?{name.survey}"
        objects[row], alerts[row] = ("", name.key) if name.what == "alert" else (name.key, "")
    settings = {**table.settings, "obs_publisher_did": left}
    return replace(table, settings=settings, objects=objects, alerts=alerts)


def _lake(segment: str, survey: Callable[[str], Survey]) -> Lake | None:
    try:
        return survey(segment).lake
    except UnknownDataset:
        return None


def _texts(texts: Sequence[str], table: TargetTable) -> list[str]:
    return list(texts) or [""] * len(table)


def names_of(table: TargetTable) -> list[str]:
    """List what rows name, ``alert/123`` or ``object/ZTF18abc``; "" where it names nothing."""
    return [
        f"alert/{alert}" if alert else f"object/{object_id}" if object_id else ""
        for alert, object_id in zip(_texts(table.alerts, table), _texts(table.objects, table), strict=True)
    ]
