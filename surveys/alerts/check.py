"""Does what the index says of a lake hold? Random stamps of it, compared with what pyarrow reads."""

from __future__ import annotations

import random
from collections.abc import Iterator

from surveys.alert import AlertRecord
from surveys.alerts.stored import open_stamp
from surveys.errors import SurveyError
from surveys.index.catalog import Catalog
from surveys.lake import Lake
from surveys.parquet.footer import open_footer
from surveys.survey import Survey


def check_alerts(
    catalog: Catalog, survey: Survey, alerts: int, seed: int | None
) -> list[tuple[str, str | None]]:
    """Compare all stamps of random alerts, and the numbers of these, with what pyarrow reads.

    Parameters
    ----------
    alerts
        How many.
    seed
        Of the random numbers, to repeat a check.

    Returns
    -------
    list
        Identifier of each alert, and one sentence, or None if all is well.
    """
    lake = survey.lake
    assert lake is not None  # noqa: S101 -- told to the type checker
    rng = random.Random(seed)  # noqa: S311 -- a sample, not a secret
    found = catalog.alerts.random(survey, alerts, rng)
    return [(alert.dataset, _check(catalog, lake, alert)) for alert in found]


def _check(catalog: Catalog, lake: Lake, alert: AlertRecord) -> str | None:
    try:
        return next((problem for problem in _problems(catalog, lake, alert) if problem), None)
    except (SurveyError, ValueError) as error:
        return str(error)


def _problems(catalog: Catalog, lake: Lake, alert: AlertRecord) -> Iterator[str | None]:
    alerts, file = catalog.alerts, alert.file
    footer = open_footer(alerts.lakes.files(lake).open(file.path, file.size, file.version))
    group, row = 0, alert.row
    while row >= footer.group_rows(group):
        row -= footer.group_rows(group)
        group += 1
    number = footer.find(lake.columns.candidate)
    if number is not None and footer.read_group(number.name, group)[row].as_py() != alert.candid:
        yield "its row in the file is another alert's"
    for kind in lake.stamps:
        pages, column = alerts.pages(file, kind.name), footer.find(kind.columns)
        if pages is None and column is None:
            continue
        if pages is None or column is None:
            yield f"its file has lost its {kind.name}, or is not known to have it"
            continue
        ours = alerts.lakes.value(lake, file.path, file.size, file.version, pages, alert.row)
        if ours != footer.read_group(column.name, group)[row].as_py():
            yield f"the bytes of its {kind.name} differ from those pyarrow reads"
        if ours is not None:
            open_stamp(ours)
