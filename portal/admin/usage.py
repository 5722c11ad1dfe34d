"""How much was made, by day, survey and user; as charts, and as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Literal, get_args

from markupsafe import Markup

from accounts.usage import BYS, By, Usage, Used
from portal.admin.area import Area, Table
from portal.admin.asked import Asked
from portal.admin.charts import Bar, bars
from portal.figures import duration, short, size
from portal.words import gettext as _

DAYS = 30
MOST_DAYS = 400
MOST = 20
MOST_IN_TABLE = 10_000
Amount = Literal["cutouts", "bytes", "seconds"]
AMOUNTS: tuple[Amount, ...] = get_args(Amount)
_WRITTEN: dict[Amount, Callable[[float], str]] = {"cutouts": short, "bytes": size, "seconds": duration}


@dataclass(frozen=True, slots=True)
class UsageShown:
    """Use of some days.

    Parameters
    ----------
    amount
        What the chart shows.
    account, survey
        Only of these; "" is all.
    by
        What the CSV has.
    total
        Of all days.
    csv
        Rows of the CSV, where that is asked for.
    """

    days: int
    amount: Amount
    account: str
    survey: str
    by: By
    total: Used
    by_day: tuple[Used, ...]
    by_survey: tuple[Used, ...]
    by_user: tuple[Used, ...]
    chart: Markup = field(default=Markup(), repr=False)
    csv: tuple[Used, ...] = field(default=(), repr=False)


def usage_area(usage: Usage, flush: Callable[[], object] = lambda: None) -> Area:
    """Make the area; `flush` has written down what this process has counted."""

    def look(asked: Asked) -> UsageShown:
        flush()
        days, amount = asked.whole("days", DAYS, 1, MOST_DAYS), asked.choice("amount", AMOUNTS, AMOUNTS[0])
        account, survey = asked.text("account"), asked.text("survey")
        only = {"account": account, "survey": survey}
        day, one, user = (usage.by(what, days, MOST, **only) for what in BYS)
        by = asked.choice("by", BYS, "day")
        is_csv = asked.text("format") == "csv"
        return UsageShown(
            days,
            amount,
            account,
            survey,
            by,
            _total(day),
            tuple(day),
            tuple(one),
            tuple(user),
            bars([_bar(used, amount) for used in day], _parts(amount), _WRITTEN[amount]),
            tuple(usage.by(by, days, MOST_IN_TABLE, **only)) if is_csv else (),
        )

    return Area("usage", "Usage", look, table=_table, asks=("days", "amount", "account", "survey", "by"))


def _table(shown: UsageShown) -> Table:
    names = [one.name for one in fields(Used)]
    return Table([shown.by, *names[1:]], [astuple(used) for used in shown.csv])


def _total(days: Sequence[Used]) -> Used:
    names = [one.name for one in fields(Used)][1:]
    return Used("", **{name: sum(getattr(day, name) for day in days) for name in names})


def _parts(amount: Amount) -> tuple[str, ...]:
    return (_("at once"), _("by jobs")) if amount == "cutouts" else (_(amount),)


def _bar(used: Used, amount: Amount) -> Bar:
    if amount == "cutouts":
        return Bar(used.key, (float(used.sync), float(used.cutouts - used.sync)))
    return Bar(used.key, (float(getattr(used, amount)),))
