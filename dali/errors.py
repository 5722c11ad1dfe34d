"""Errors that know their DALI label and their HTTP status.

::

    ProtocolError
    ├── UsageError                        400  the request is wrong; says how to mend it
    │   ├── MultiValuedParamNotSupported  400  one value only (SODA 1.0, section 3.1)
    │   └── NotFound                      404  no such identifier or resource
    ├── AuthenticationError               401  not without saying who asks
    ├── AuthorizationError                403  not for this caller
    │   └── QuotaExceeded                 403  more than this caller may use
    ├── TooManyRequests                   429  not so fast: worth another try after `retry_after_s`
    ├── ServiceUnavailable                503  not now: worth another try after `retry_after_s`
    └── ServerError                       500  our fault; label ``Error``

Labels are those of SODA 1.0, section 5.2; answers in VOTable say the same by the fault words of SIA 2.0,
section 3.2, and DataLink 1.1, section 3.4. `dali.responses` is the only place that turns one into HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

T = TypeVar("T")

#: Longest piece of a client's text that an error repeats.
QUOTED_LENGTH = 80


class ProtocolError(Exception):
    """What a client is told when there is no result.

    Parameters
    ----------
    sentence
        What is wrong: names the parameter, the value (see `quoted`) and what is allowed.
    fix
        What to do instead; "" where there is nothing to say.
    status
        HTTP status, where it is not the usual one of the class.
    also
        Further faults found in the same request.
    """

    label: ClassVar[str] = "Error"
    fault_word: ClassVar[str] = "FatalFault"
    status: int = 500

    def __init__(
        self,
        sentence: str,
        fix: str = "",
        *,
        status: int | None = None,
        also: Sequence[ProtocolError] = (),
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
        self.fix = fix
        self.also = tuple(also)
        if status is not None:
            self.status = status


class UsageError(ProtocolError):
    """The request is wrong."""

    label = "UsageError"
    fault_word = "UsageFault"
    status = 400


class MultiValuedParamNotSupported(UsageError):
    """A parameter was given several values where one is taken."""

    label = "MultiValuedParamNotSupported"


class NotFound(UsageError):
    """No dataset or resource of this name."""

    status = 404


class AuthorizationError(ProtocolError):
    """The caller may not have this."""

    label = "AuthorizationError"
    fault_word = "DefaultFault"
    status = 403


class QuotaExceeded(AuthorizationError):
    """The caller would use more than a quota allows."""


class AuthenticationError(ProtocolError):
    """It must be known who asks, or who asks is not known as it was told (DALI 1.1, section 4.2)."""

    label = "AuthenticationError"
    fault_word = "DefaultFault"
    status = 401


#: What somebody unknown may do about a refusal.
SIGN_IN = "Sign in, or send a token in the Authorization header."


def told_to(error: ProtocolError, name: str) -> ProtocolError:
    """Say a refusal as it is for a caller of this name: to somebody unknown, "", that they may be known."""
    if name or not isinstance(error, AuthorizationError):
        return error
    return AuthenticationError(error.sentence, SIGN_IN)


class TooManyRequests(ProtocolError):
    """The caller asks too often; the client may try again after `retry_after_s` seconds."""

    fault_word = "TransientFault"
    status = 429

    def __init__(self, sentence: str, fix: str = "", *, retry_after_s: int) -> None:
        super().__init__(sentence, fix)
        self.retry_after_s = retry_after_s


class ServiceUnavailable(ProtocolError):
    """The service cannot answer now; the client may try again after `retry_after_s` seconds."""

    label = "ServiceUnavailable"
    fault_word = "TransientFault"
    status = 503

    def __init__(self, sentence: str, fix: str = "", *, retry_after_s: int) -> None:
        super().__init__(sentence, fix)
        self.retry_after_s = retry_after_s


class ServerError(ProtocolError):
    """A fault of the service or of its data."""


class Faults:
    """Collects the faults of one request, so that a client hears of all of them at once."""

    def __init__(self) -> None:
        self._found: list[ProtocolError] = []

    def add(self, fault: ProtocolError) -> None:
        """Remember `fault`."""
        self._found.append(fault)

    def attempt(self, parse: Callable[[], T]) -> T | None:
        """Return what `parse` gives, or None when it found the request wrong."""
        try:
            return parse()
        except UsageError as fault:
            self.add(fault)
            return None

    def raise_any(self) -> None:
        """Raise the most specific fault, which names the others; return if there is none.

        Notes
        -----
        One label stands for all (SODA 1.0, section 5.2, has one): a wrong multiplicity before a wrong
        value before an unknown name, else in the order found.
        """
        if not self._found:
            return
        first, *others = sorted(self._found, key=_rank)
        first.also = (*first.also, *others)
        raise first


def _rank(fault: ProtocolError) -> int:
    if isinstance(fault, MultiValuedParamNotSupported):
        return 0
    return 2 if isinstance(fault, NotFound) else 1


def quoted(text: str) -> str:
    """Show a client's text as it may stand in an answer: quoted, on one line, 80 characters at most."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
        for character in text[: QUOTED_LENGTH + 1]
    )
    return f'"{shown}"' if len(shown) <= QUOTED_LENGTH else f'"{shown[: QUOTED_LENGTH - 1]}…"'
