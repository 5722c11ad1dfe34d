"""Publisher identifiers."""

from __future__ import annotations

import pytest

from surveys.errors import UnknownDataset
from surveys.identifiers import Identifiers, safe_segment, told_apart

IDS = Identifiers("ivo://a.org/cutouts", former=("ivo://unregistered.invalid/soda-fountain",))


def test_what_is_made_is_read_back() -> None:
    assert IDS.did("des/g/tile") == "ivo://a.org/cutouts?des/g/tile"
    assert IDS.parse(IDS.did("des/g/tile")) == "des/g/tile"


def test_former_identifiers_resolve_and_case_does_not_matter() -> None:
    assert IDS.parse("ivo://unregistered.invalid/soda-fountain?des") == "des"
    assert IDS.parse("IVO://A.org/CUTOUTS?Des/g") == "Des/g"


def test_what_follows_the_first_mark_is_opaque() -> None:
    assert IDS.parse("ivo://a.org/cutouts?des?../../etc#x") == "des?../../etc#x"


@pytest.mark.parametrize(
    "did",
    ["", "des/g/tile", "ivo://a.org/cutouts", "ivo://a.org/cutouts?", "ivo://b.org/x?des", "file:///etc"],
)
def test_soda_06_others_are_unknown(did: str) -> None:
    with pytest.raises(UnknownDataset, match="no dataset has the ID"):
        IDS.parse(did)


def test_long_identifiers_are_not_echoed_in_full() -> None:
    with pytest.raises(UnknownDataset) as error:
        IDS.parse("x" * 10_000)
    assert len(str(error.value)) < 150


def test_segments_are_safe_and_hashes_tell_apart_what_they_make_equal() -> None:
    assert safe_segment("DES0000+0209 é/x") == "DES0000_0209___x"
    assert safe_segment("a+b") == safe_segment("a b") == "a_b"
    assert told_apart("a+b") != told_apart("a b")
    assert safe_segment(told_apart("a+b")) == told_apart("a+b")
