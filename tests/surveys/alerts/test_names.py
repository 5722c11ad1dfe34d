"""Identifiers of alerts and objects."""

from __future__ import annotations

import pytest

from surveys.alert import AlertName
from surveys.errors import UnknownDataset
from surveys.lake import Columns, Lake, StampKind

LAKE = Lake(
    "/lake",
    "**/*.parquet",
    Columns(*[("column",)] * 6),
    (StampKind("Science", ("a",)), StampKind("Template", ("b",))),
)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("ztf/alert/697251920015010010", AlertName("ztf", "alert", "697251920015010010")),
        ("ZTF/Alert/-5/sciENCE", AlertName("ZTF", "alert", "-5", "Science")),
        ("ztf/object/ZTF18abc", AlertName("ztf", "object", "ZTF18abc")),
        ("ztf/OBJECT/12/template", AlertName("ztf", "object", "12", "Template")),
        (f"ztf/alert/{2**63 - 1}", AlertName("ztf", "alert", str(2**63 - 1))),
    ],
)
def test_identifiers_say_what_they_name_in_whatever_case(dataset: str, name: AlertName) -> None:
    assert AlertName.parse(dataset, LAKE) == name


@pytest.mark.parametrize(
    "dataset", ["ztf", "ztf/12", "ztf/12/Science", "ztf/alert", "ztf/object/", "ztf//12"]
)
def test_what_does_not_say_which_of_the_two_it_is_names_nothing(dataset: str) -> None:
    assert AlertName.parse(dataset, LAKE) is None


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        ("ztf/alert/12/weight", "it has Science, Template"),
        ("ztf/object/x/Science/Science", "it has Science, Template"),
        ("ztf/object/x/", "it has Science, Template"),
        ("ztf/alert/ZTF18abc", "a whole number of 64 bits"),
        (f"ztf/alert/{2**63}", "a whole number of 64 bits"),
        ("ztf/alert/\N{ARABIC-INDIC DIGIT ONE}", "a whole number of 64 bits"),
        ("ztf/alert/1_0", "a whole number of 64 bits"),
    ],
)
def test_what_nothing_can_be_named_is_refused_with_the_reason(dataset: str, reason: str) -> None:
    with pytest.raises(UnknownDataset, match=reason):
        AlertName.parse(dataset, LAKE)
