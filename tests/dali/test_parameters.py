"""Names, multiplicity, and the parameters DALI itself defines."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from dali.errors import MultiValuedParamNotSupported, UsageError
from dali.parameters import (
    MAX_PARAMETERS,
    MAX_VALUE_LENGTH,
    Parameters,
    parse_boolean,
    parse_max_records,
    parse_run_id,
    query_pairs,
    refuse_unknown,
    refuse_uploads,
)


def test_http_01_names_ignore_case() -> None:
    parameters = Parameters.from_pairs([("circle", "a"), ("Band", "b"), ("ID", "x"), ("id", "y")])
    assert parameters.one("CIRCLE") == "a"
    assert parameters.one("BAND") == "b"
    assert parameters.all("ID") == ("x", "y")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "ID=ivo%3A//x%3Fa/r&CIRCLE=1.5%202+0.1",
        "ID=a&ID=b&&=c&d&e=&f=g=h&;i;",
        "name%3d=%26%3d%2B&a%20b+c=%25",
        "a=%C3%A9%c3&%FF=é€%e9%&b=%zz%2&c=%00%",
    ],
)
def test_a_query_is_read_as_everywhere(query: str) -> None:
    assert query_pairs(query) == parse_qsl(query, keep_blank_values=True, errors="replace")


def test_http_02_values_keep_theirs() -> None:
    assert Parameters.from_pairs([("POL", "i")]).one("POL") == "i"


def test_soda_16_empty_is_absent() -> None:
    parameters = Parameters.from_pairs([("BAND", ""), ("TIME", "  "), ("ID", "a"), ("ID", "")])
    assert parameters.one("BAND") is None
    assert parameters.one("TIME") is None
    assert parameters.one("ID") == "a"
    assert not Parameters.from_pairs([("ID", "")])


def test_soda_12_one_value_where_one_is_taken() -> None:
    with pytest.raises(MultiValuedParamNotSupported, match="ID is taken once"):
        Parameters.from_pairs([("ID", "a"), ("id", "a")]).one("ID")


def test_a_letter_that_only_resembles_is_not_the_same_name() -> None:
    assert Parameters.from_pairs([("poſ", "a")]).one("POS") is None


def test_too_many_and_too_long() -> None:
    with pytest.raises(UsageError) as caught:
        Parameters.from_pairs([("POL", "I")] * (MAX_PARAMETERS + 1))
    assert caught.value.status == 413
    with pytest.raises(UsageError, match="CIRCLE has 20001 characters"):
        Parameters.from_pairs([("CIRCLE", "1" * (MAX_VALUE_LENGTH + 1))])


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("CIRLCE", "Did you mean CIRCLE?"),
        ("circel", "Did you mean CIRCLE?"),
        ("XYZZY", "It takes CIRCLE, ID."),
    ],
)
def test_soda_17_unknown_names_the_nearest(name: str, fix: str) -> None:
    parameters = Parameters.from_pairs([(name, "1")])
    (fault,) = refuse_unknown(parameters, {"CIRCLE", "ID", "MAXREC"}, ("CIRCLE", "ID"))
    assert fault.sentence == f"{name.upper()} is not a parameter of this resource."
    assert fault.fix == fix


def test_soda_17_unknown_without_a_value_is_let_pass() -> None:
    assert refuse_unknown(Parameters.from_pairs([("XYZZY", "")]), {"ID"}, ("ID",)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("TRUE", True), ("T", True), ("t", True), ("0", False), ("false", False),
     ("F", False)],
)  # fmt: skip
def test_dali_20_booleans(text: str, value: bool) -> None:
    assert parse_boolean(text, "MASK") is value


@pytest.mark.parametrize("text", ["yes", "2", "on", "ｔrue", "-1"])
def test_dali_20_no_boolean(text: str) -> None:
    with pytest.raises(UsageError, match="MASK is true or false"):
        parse_boolean(text, "MASK")


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "１", "1e3", "9" * 19, "²"])
def test_dali_07_maxrec(text: str) -> None:
    assert parse_max_records("0") == 0
    with pytest.raises(UsageError, match="MAXREC is a whole number"):
        parse_max_records(text)


def test_dali_08_run_id() -> None:
    assert parse_run_id("x" * 64) == "x" * 64
    for text in ("x" * 65, "a\nb", "a\x00", "\u202ex"):
        with pytest.raises(UsageError, match="RUNID"):
            parse_run_id(text)


def test_dali_09_uploads_are_named_not_swallowed() -> None:
    assert refuse_uploads(Parameters.from_pairs([("ID", "a")])) == []
    for parameters in (Parameters.from_pairs([("upload", "t,param:t")]), Parameters.from_pairs([], ["t"])):
        (fault,) = refuse_uploads(parameters)
        assert "UPLOAD is not supported" in fault.sentence
