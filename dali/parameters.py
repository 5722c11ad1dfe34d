"""The parameters of a request: names in any case, values as they came, GET and POST alike."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import unquote_to_bytes

from dali.errors import MultiValuedParamNotSupported, UsageError, quoted

#: More parameters, or a longer value, than a request of these protocols needs, lists of identifiers aside.
MAX_PARAMETERS = 500
MAX_VALUE_LENGTH = 20_000
MAX_RUN_ID_LENGTH = 64

_BOOLEANS = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a multipart body, as a temporary file that is removed when the request ends.

    `file_name` is as the client calls it, "" if it does not.
    """

    path: Path
    file_name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a client sent.

    Parameters
    ----------
    values
        Values by name in upper case, in the order they came. A name without a value is absent.
    uploads
        Names of the parts of a multipart body that are files.
    files
        These files by name in upper case, where the resource takes some.
    """

    values: Mapping[str, tuple[str, ...]]
    uploads: tuple[str, ...] = ()
    files: Mapping[str, UploadedFile] = field(default_factory=dict)

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[str, str]],
        uploads: Iterable[str] = (),
        most: int = MAX_PARAMETERS,
    ) -> Parameters:
        """Gather pairs of query string and body, `most` of them at most, of not too many names.

        Raises
        ------
        UsageError
            If there are too many parameters, or a value is too long.

        Notes
        -----
        Sections 3.1 and 3.2: names ignore case, a repeated name has several values. An empty value
        counts as absent: forms send empty fields.
        """
        gathered: dict[str, list[str]] = {}
        for number, (name, value) in enumerate(pairs, start=1):
            if number > most or len(gathered) > MAX_PARAMETERS:
                limit = min(most, MAX_PARAMETERS)
                raise UsageError(f"the request has more than {limit} parameters", status=413)
            if len(value) > MAX_VALUE_LENGTH:
                raise UsageError(
                    f"the value of {plain_name(name)} has {len(value)} characters; "
                    f"at most {MAX_VALUE_LENGTH} are taken"
                )
            if value and not value.isspace():
                gathered.setdefault(upper_name(name), []).append(value)
        return cls({name: tuple(values) for name, values in gathered.items()}, tuple(uploads))

    def __bool__(self) -> bool:
        return bool(self.values or self.uploads)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of `name` (upper case)."""
        return self.values.get(name, ())

    def without(self, name: str) -> Parameters:
        """Give the others."""
        if name not in self.values:
            return self
        return replace(self, values={other: self.values[other] for other in self.values if other != name})

    def one(self, name: str) -> str | None:
        """Return the value of `name` (upper case), None if absent.

        Raises
        ------
        MultiValuedParamNotSupported
            If it has several.
        """
        values = self.values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise MultiValuedParamNotSupported(
                f"{name} is taken once here; got {len(values)} values", f"Send one request for each {name}."
            )
        return values[0]


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Read a query string: names and values as they came, but that nothing is quoted any more.

    Notes
    -----
    It is `urllib.parse.parse_qsl` with ``keep_blank_values``, in half the time: each request pays for it.
    """
    words = query.replace("+", " ").split("&")
    pairs = (word.partition("=") for word in words if word)
    return [(_unquoted(name), _unquoted(value)) for name, _, value in pairs]


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text else text


def upper_name(name: str) -> str:
    """Parameter name in upper case; letters outside ASCII stay, or `ſ` would make an S."""
    return name.upper() if name.isascii() else name


def plain_name(name: str) -> str:
    """Show a client's parameter name in an error: bare if it looks like one, else quoted."""
    upper = upper_name(name)
    return upper if upper.isascii() and upper.isidentifier() and len(upper) <= 32 else quoted(name)


def refuse_unknown(parameters: Parameters, known: Container[str], offered: Sequence[str]) -> list[UsageError]:
    """One fault for each parameter that is not in `known`, naming the nearest of those `offered`.

    Notes
    -----
    A typo that is ignored returns something else than was asked for, so it is an error here.
    """
    return [
        UsageError(f"{plain_name(name)} is not a parameter of this resource", _nearest(name, offered))
        for name in parameters.values
        if name not in known
    ]


def _nearest(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name[:32], names, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else f"It takes {', '.join(names)}."


def parse_boolean(text: str, name: str) -> bool:
    """Read a boolean (section 3.3.2), of XML Schema or VOTable: 1, true, T, 0, false, F, in any case."""
    value = _BOOLEANS.get(text.strip(" ").lower())
    if value is None:
        raise UsageError(
            f"{name} is true or false; got {quoted(text)}", f"Write {name}=true or {name}=false."
        )
    return value


def parse_max_records(text: str) -> int:
    """MAXREC (section 3.4.4): a whole number, not negative."""
    digits = text.strip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise UsageError(f"MAXREC is a whole number, 0 or more; got {quoted(text)}", "Write MAXREC=100.")
    return int(digits)


def parse_run_id(text: str) -> str:
    """RUNID (section 3.4.6): up to 64 characters, on one line since it is written to the log."""
    if len(text) > MAX_RUN_ID_LENGTH:
        raise UsageError(f"RUNID has {len(text)} characters; at most {MAX_RUN_ID_LENGTH} are taken")
    if not text.isprintable():
        raise UsageError(f"RUNID has characters that cannot be printed; got {quoted(text)}")
    return text


def refuse_uploads(parameters: Parameters) -> list[UsageError]:
    """One fault for UPLOAD or files in the body, which this service does not take (section 3.4.5)."""
    if "UPLOAD" in parameters.values:
        return [UsageError("UPLOAD is not supported here", "Send the values as parameters.")]
    if parameters.uploads:
        name = plain_name(parameters.uploads[0])
        return [UsageError(f"the file sent as {name} cannot be used: UPLOAD is not supported here")]
    return []
