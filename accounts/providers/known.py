"""What a provider tells of somebody, and how it says that it cannot."""

from __future__ import annotations

from dataclasses import dataclass

#: Longest subject, name and address that are kept; OpenID Connect Core 1.0, section 2, has 255 for `sub`.
LONGEST = 255


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody a provider knows.

    Parameters
    ----------
    provider
        Its label.
    subject
        What the provider calls this person and nobody else: these two are who it is, never an e-mail address.
    title, email
        What people read; for nothing else.
    groups
        By their names here.
    """

    provider: str
    subject: str
    title: str = ""
    email: str = ""
    groups: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.subject or len(self.subject) > LONGEST or not self.subject.isprintable():
            raise ValueError("a subject is 1 to 255 printable characters")


class ProviderAway(Exception):
    """A provider does not answer as it should: nobody can sign in there now. The message is for the log."""


def shown(text: object) -> str:
    """Give a text of a provider as people may read it: on one line, and not too long; "" for what is none."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:LONGEST]).split())
