"""Whatever is asked for in whatever combination is answered or refused, and HEAD says the same as GET."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soda.table import BY_NAME
from tests.support.field import MIDDLE, Field, centre_of
from tests.support.service import did

REGIONS: list[dict[str, str]] = [
    MIDDLE,
    {"CENTER": centre_of(0, 0), "SIZE": "20px"},
    {"CENTER": centre_of(149.5, 99.5), "SIZE": "1px"},
    {"CIRCLE": centre_of(150, 100) + " 0.005"},
    {"CIRCLE": centre_of(150, 199) + " 0.004"},
    {"CIRCLE": "10 10 0.1"},
    {"POS": "RANGE 149.99 150.01 0.02 0.04"},
    {},
]
#: Values that say something, wherever a parameter has not but a few.
VALUES = {
    "PIXSCALE": ("0.5arcsec", "3arcsec"),
    "RECIPE": ("auto", "none"),
    "RGB": ("i,r,g", "g,g,r", "u,r,g"),
    "POWER": ("2",),
    "CUTS": ("zscale", "1% 99%", "0 1"),
    "CMAP": ("viridis", "none"),
    "Q": ("8",),
    "SOFTENING": ("0.1",),
    "MINIMUM": ("0", "-1", "0,0,0"),
    "CONTRAST": ("2",),
    "SATURATION": ("0", "2"),
    "WIDTH": ("1", "150"),
    "HEIGHT": ("1", "40"),
    "QUALITY": ("50",),
    "LABEL": ("é x",),
    "FILTER": ("r", "z"),
    "TIME": ("1 2",),
    "BAND": ("6e-7", "1"),
}
OPTIONS = {
    name: st.sampled_from(VALUES.get(name) or parameter.options)
    for name, parameter in BY_NAME.items()
    if VALUES.get(name) or parameter.options
}


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    made = Field(tmp_path_factory.mktemp("field"))
    yield made
    made.close()


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.sampled_from(["field", "field/r", "field/g/west"]),
    st.sampled_from(REGIONS),
    st.lists(st.sampled_from(sorted(OPTIONS)), max_size=3, unique=True),
    st.sampled_from(["", "png", "jpeg"]),
    st.data(),
)
def test_every_request_is_answered_or_refused(
    field: Field, dataset: str, region: dict[str, str], names: list[str], format_: str, data: st.DataObject
) -> None:
    asked = {"ID": did(dataset), **region, **{name: data.draw(OPTIONS[name]) for name in names}}
    if format_:
        asked["RESPONSEFORMAT"] = format_
    answer, head = field.get(**asked), field.head(**asked)
    content = answer.data
    assert answer.status_code in (200, 204, 400), answer.text
    assert head.status_code == answer.status_code
    for name in ("ETag", "Content-Type", "Content-Disposition", "Link"):
        assert head.headers.get(name) == answer.headers.get(name)
    if answer.status_code == 200:
        assert head.headers.get("Content-Length") in (None, str(len(content)))
        assert content
    if answer.status_code == 400:
        assert answer.text.startswith("UsageError: ")
        assert "Traceback" not in answer.text
