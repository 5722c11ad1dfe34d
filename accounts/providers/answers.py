"""What is the same of all providers: that they are away, and how their texts are taken."""

from __future__ import annotations

from collections.abc import Mapping

#: Longest text that is taken.
LONGEST = 255


class ProviderAway(Exception):
    """A provider does not answer as it should: nobody can sign in there now. The message is for the log."""


class NotLetIn(Exception):
    """Somebody may not sign in here, or was not let in by the provider; the message tells why."""


def line(text: object) -> str:
    """Give a text of a provider as people may read it: on one line, and not too long; "" for what is none."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:LONGEST]).split())


def address_in(claims: Mapping[str, object], claim: str) -> str:
    """Give the e-mail address of somebody; "" where the provider says that it may not be theirs.

    Mail would go to whomever they name (OpenID Connect Core 1.0, section 5.1).
    """
    return "" if claims.get("email_verified") in (False, "false") else line(claims.get(claim))


def words_of(claim: object) -> tuple[str, ...]:
    """Read a claim of several texts: a list, or one text with spaces, commas or semicolons between them."""
    if isinstance(claim, str):
        return (claim, *claim.replace(",", " ").replace(";", " ").split())
    return tuple(word for word in claim if isinstance(word, str)) if isinstance(claim, list) else ()
