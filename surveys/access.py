"""Who may read a survey, or one of its datasets: rules as they are declared, and those they are about.

What is open to everybody for good is known beforehand (`Access.is_public`), so that nothing is looked at for
each image of it. Whom a rule opens data to is for a `Reader` to say: the engine knows neither accounts nor
groups.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from fnmatch import translate
from functools import lru_cache
from typing import Protocol

from surveys.toml_keys import Keys

#: Results of a job name so many datasets of one survey; of more, only by what rules they are open.
NAMED_DATASETS = 16
_OF_SURVEY = -1


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom data are open to.

    Parameters
    ----------
    public
        To everybody.
    groups, users
        To members of these groups, and to these accounts (``<provider>:<subject>``).
    until
        To those alone until this moment, to everybody from then on; None for good.
    """

    public: bool = False
    groups: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    until: datetime | None = None

    def is_public_at(self, now: datetime) -> bool:
        """Whether everybody may read what it is about."""
        return self.public or (self.until is not None and self.until <= now)


PUBLIC = Rule(public=True)


class Reader(Protocol):
    """Somebody who asks for data."""

    def may(self, rule: Rule) -> bool:
        """Whether a rule opens data to them now."""


class _Everybody:
    def may(self, rule: Rule) -> bool:
        return rule.is_public_at(datetime.now(UTC))


#: Somebody of whom nothing is known.
EVERYBODY: Reader = _Everybody()


class _Operator:
    def may(self, rule: Rule) -> bool:
        return True


#: Whoever runs the program, and can read the files themselves.
OPERATOR: Reader = _Operator()


@dataclass(frozen=True, slots=True)
class DatasetRule:
    """A rule of some datasets of a survey.

    Parameters
    ----------
    match
        ``<band>/<image>``, where ``*`` stands for any text, ``?`` for any character; case does not matter.
    """

    match: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a survey.

    Parameters
    ----------
    rule
        Of all that no other rule is about.
    datasets
        Rules of single datasets; the first that matches counts.

    Attributes
    ----------
    is_public
        Whether all of it is open to everybody, for good.
    """

    rule: Rule = PUBLIC
    datasets: tuple[DatasetRule, ...] = ()
    is_public: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_public", self.rule.public and not self.datasets)

    def rule_of(self, dataset: str) -> Rule:
        """Rule of a dataset: what names no image has that of the survey; a layer has that of its image."""
        number = self._number(dataset)
        return self.rule if number == _OF_SURVEY else self.datasets[number].rule

    def may_enter(self, reader: Reader) -> bool:
        """Whether somebody may read any of it, and so may know of it."""
        return self.is_public or any(map(reader.may, self.rules()))

    def may_read(self, dataset: str, reader: Reader) -> bool:
        """Whether somebody may read a dataset."""
        return self.is_public or reader.may(self.rule_of(dataset))

    def is_open_to_all(self, dataset: str) -> bool:
        """Whether everybody may read a dataset now."""
        return self.may_read(dataset, EVERYBODY)

    def may_read_all(self, reader: Reader) -> bool:
        """Whether somebody may read whatever there is of it."""
        return self.is_public or all(map(reader.may, self.rules()))

    def rules(self) -> Iterator[Rule]:
        """All rules, each once."""
        yield from dict.fromkeys((self.rule, *(one.rule for one in self.datasets)))

    def sources(self, survey: str, datasets: Collection[str]) -> Iterator[str]:
        """Write down of what datasets of a survey something is made, so that `may_have` can tell later.

        Of many only by which rules they are open: the text is no longer then.
        """
        names = sorted(set(map(_image, datasets)))
        if len(names) <= NAMED_DATASETS:
            yield from names
        else:
            yield from self._numbered(survey, {self._number(name) for name in names})

    def sources_for(self, survey: str, reader: Reader) -> Iterator[str]:
        """Write the same of something that may be made of all that somebody may read."""
        rules = enumerate((self.rule, *(one.rule for one in self.datasets)), start=-1)
        yield from self._numbered(survey, {number for number, rule in rules if reader.may(rule)})

    def may_have(self, source: str, reader: Reader) -> bool:
        """Whether somebody may have what is made of one of the `sources`, as rules are now."""
        name, _, told = source.partition("#")
        if not told:
            return self.may_read(name, reader)
        digest, _, number = told.partition("#")
        if digest != self._digest():
            # Of datasets that were not named nobody knows which of other rules they are under.
            return self.may_read_all(reader)
        return reader.may(self.datasets[int(number)].rule if number else self.rule)

    def _numbered(self, survey: str, numbers: Iterable[int]) -> Iterator[str]:
        for number in sorted(numbers):
            yield f"{survey}#{self._digest()}#{'' if number == _OF_SURVEY else number}"

    def _number(self, dataset: str) -> int:
        """Find the rule that a dataset has of its own."""
        if not self.datasets or dataset.count("/") < 2:
            return _OF_SURVEY
        name = _image(dataset).partition("/")[2].lower()
        found = (n for n, one in enumerate(self.datasets) if _pattern(one.match).fullmatch(name))
        return next(found, _OF_SURVEY)

    def _digest(self) -> str:
        patterns = "\n".join(one.match.lower() for one in self.datasets)
        return hashlib.blake2b(patterns.encode(), digest_size=6).hexdigest()


@lru_cache(maxsize=1024)
def _pattern(match: str) -> re.Pattern[str]:
    return re.compile(translate(match.lower()))


def _image(dataset: str) -> str:
    """``survey/band/image`` of a layer of it."""
    return "/".join(dataset.split("/", 3)[:3])


def parse_access(keys: Keys, beginning: str = "") -> Access:
    """Read the key ``access`` of a declaration, where names of datasets have a `beginning`.

    Raises
    ------
    DeclarationError
        If it is neither ``"public"`` nor a table of rules.
    """
    said: object = keys.take("access", "public")
    if said == "public":
        return Access()
    if not isinstance(said, dict):
        raise keys.fault("access", '"public" or a table')
    table = keys.table("access")
    listed = table.take("datasets", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise table.fault("datasets", "tables [[access.datasets]], each with a match")
    ones = [Keys(one, keys.source, f"access.datasets.{n}.") for n, one in enumerate(listed)]
    access = Access(_rule(table), tuple(_dataset_rule(one, beginning) for one in ones))
    table.finish()
    return access


def _dataset_rule(keys: Keys, beginning: str) -> DatasetRule:
    match = keys.text("match")
    if not match.lower().startswith(beginning):
        # Rights are looked at for each alert: what is said of an object would not hold for those of it.
        raise keys.fault("match", f'"{beginning}<number>", where * stands for any text')
    if match.count("/") != 1 or match.startswith("/") or match.endswith("/"):
        raise keys.fault("match", '"<band>/<image>", where * stands for any text')
    found = DatasetRule(match, _rule(keys))
    keys.finish()
    return found


def _rule(keys: Keys) -> Rule:
    public = keys.truth("public", False)
    rule = Rule(
        public,
        frozenset(keys.texts("groups", ())),
        frozenset(keys.texts("users", ())),
        keys.optional("until", lambda key: _moment(keys, key)),
    )
    if public and rule != PUBLIC:
        raise keys.fault("public", "false beside groups, users or until, which are for what is not public")
    for user in sorted(rule.users):
        if not all(user.partition(":")):
            raise keys.fault("users", 'names of accounts, "<provider>:<subject>"')
    return rule


def _moment(keys: Keys, key: str) -> datetime:
    """Read a date, which stands for its beginning (UTC), or a moment with its offset from UTC."""
    match keys.take(key):
        case datetime() as moment if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        case date() as day if not isinstance(day, datetime):
            return datetime.combine(day, time(), UTC)
    raise keys.fault(key, "a date (2027-07-01), or a moment with its offset (2027-07-01T12:00:00Z)")
