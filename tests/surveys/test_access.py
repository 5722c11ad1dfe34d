"""Rules of access: as they are declared, and what they say of datasets."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from surveys.access import (
    EVERYBODY,
    NAMED_DATASETS,
    OPERATOR,
    PUBLIC,
    Access,
    DatasetRule,
    Rule,
    parse_access,
)
from surveys.errors import DeclarationError
from surveys.toml_keys import Keys

MEMBERS, DEEP = Rule(groups=frozenset({"members"})), Rule(users=frozenset({"ldap:ann"}))
PAST, FUTURE = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))


class Opened:
    """Somebody whom some rules are open to."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules

    def may(self, rule: Rule) -> bool:
        return rule in self._rules


def read(text: str) -> Access:
    return parse_access(Keys(tomllib.loads(text), "tiny.toml"))


def test_without_a_word_a_survey_is_open() -> None:
    assert read("") == read('access = "public"') == Access()
    assert Access().is_public
    assert Access().may_read("tiny/g/a", Opened())


def test_rules_as_they_are_declared() -> None:
    access = read(
        """
        [access]
        groups = ["members", "guests"]
        users = "ldap:ann"
        until = 2027-07-01
        [[access.datasets]]
        match = "*/deep-*"
        until = 2027-07-01T02:00:00+02:00
        [[access.datasets]]
        match = "g/first"
        public = true
        """
    )
    moment = datetime(2027, 7, 1, tzinfo=UTC)
    assert access.rule == Rule(False, frozenset({"members", "guests"}), frozenset({"ldap:ann"}), moment)
    assert access.datasets == (DatasetRule("*/deep-*", Rule(until=moment)), DatasetRule("g/first", PUBLIC))
    assert not access.is_public
    assert not read("[access]\npublic = true\n[[access.datasets]]\nmatch = 'g/a'").is_public


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("access = 'private'", 'access: expected "public" or a table'),
        ("access = {group = 'a'}", "access.group: unknown key; the nearest known one is groups"),
        ("access = {public = true, groups = 'a'}", "access.public: expected false beside groups"),
        ("access = {users = ['ann']}", "access.users: expected names of accounts"),
        ("access = {users = ['ldap:']}", "access.users: expected names of accounts"),
        ("access = {until = '2027-07-01'}", "access.until: expected a date"),
        ("access = {until = 2027-07-01T00:00:00}", "access.until: expected a date"),
        ("access = {datasets = 'g/a'}", "access.datasets: expected tables"),
        ("access = {datasets = [{match = 'a'}]}", 'access.datasets.0.match: expected "<band>/<image>"'),
        ("access = {datasets = [{public = true}]}", "access.datasets.0.match: expected a value"),
        (
            "access = {datasets = [{match = 'g/a', groups = [3]}]}",
            "access.datasets.0.groups: expected a text",
        ),
    ],
)
def test_what_is_wrong_with_them_is_named(text: str, said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        read(text)
    assert str(caught.value).startswith(f"tiny.toml: {said}")


def test_the_first_rule_that_matches_an_image_is_its_own() -> None:
    rules = (DatasetRule("g/deep-*", DEEP), DatasetRule("*/deep-?", PUBLIC))
    access = Access(MEMBERS, rules)
    for dataset, rule in (
        ("tiny/g/deep-1", DEEP),
        ("TINY/G/Deep-1/weight", DEEP),  # identifiers are compared without case
        ("tiny/r/deep-1", PUBLIC),
        ("tiny/r/deep-10", MEMBERS),
        ("tiny/g/a", MEMBERS),
        ("tiny/g", MEMBERS),
        ("tiny", MEMBERS),
    ):
        assert access.rule_of(dataset) == rule
    assert access.may_enter(EVERYBODY)
    assert not access.may_read("tiny/g/a", EVERYBODY)
    assert not access.may_read_all(EVERYBODY)
    assert access.may_read_all(OPERATOR)


@pytest.mark.parametrize(("until", "is_open"), [(PAST, True), (FUTURE, False)])
def test_an_embargo_ends_by_itself(until: datetime, is_open: bool) -> None:
    access = Access(Rule(groups=MEMBERS.groups, until=until))
    assert access.is_open_to_all("tiny/g/a") is is_open
    assert not access.is_public  # what caches may keep is told once and for all


def has(access: Access, sources: Iterable[str], *rules: Rule) -> bool:
    return all(access.may_have(source, Opened(*rules)) for source in sources)


def test_sources_of_few_images_are_these() -> None:
    access = Access(MEMBERS, (DatasetRule("g/deep", DEEP),))
    sources = list(access.sources("tiny", ["tiny/g/b", "tiny/g/deep/weight", "tiny/g/b"]))
    assert sources == ["tiny/g/b", "tiny/g/deep"]
    assert has(access, sources, MEMBERS, DEEP)
    assert not has(access, sources, MEMBERS)
    assert not has(access, sources, DEEP)
    # As rules are when it is asked.
    assert has(Access(), sources)
    assert not has(Access(PUBLIC, (DatasetRule("g/b", DEEP),)), sources)


def test_sources_of_many_images_are_the_rules_they_are_under() -> None:
    many = [f"tiny/g/{number}" for number in range(NAMED_DATASETS + 1)]
    access = Access(MEMBERS, (DatasetRule("g/1?", DEEP), DatasetRule("g/deep", PUBLIC)))
    sources = list(access.sources("tiny", many))
    assert len(sources) == 2
    assert has(access, sources, MEMBERS, DEEP)
    assert not has(access, sources, MEMBERS)
    closed = Access(Rule(), access.datasets)
    assert not has(closed, sources, MEMBERS, DEEP)
    # Nobody knows which of these images another rule is about.
    others = Access(MEMBERS, (DatasetRule("g/3", DEEP),))
    assert not has(others, sources, MEMBERS)
    assert has(others, sources, MEMBERS, DEEP)
    assert has(Access(), sources)


def test_sources_of_what_is_not_known_yet_are_all_that_may_be_read() -> None:
    access = Access(MEMBERS, (DatasetRule("g/deep", DEEP),))
    sources = list(access.sources_for("tiny", Opened(MEMBERS)))
    assert has(access, sources, MEMBERS)
    assert not has(access, sources, DEEP)


def test_the_declaration_of_a_survey_has_them(tmp_path: Path) -> None:
    from surveys.declaration import read_survey
    from tests.support.service import SECRET

    (tmp_path / "secret.toml").write_text(SECRET)
    assert read_survey(tmp_path / "secret.toml", tmp_path).access == Access(MEMBERS)
