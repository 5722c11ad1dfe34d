"""One cutout for the command line: made here by the very service that answers HTTP, or asked of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
import requests

from accounts.audit import OPERATOR
from config.app import assemble
from config.settings import Settings
from config.token_file import Bearer
from dali.errors import ProtocolError, UsageError
from dali.parameters import Parameters
from soda.heavier import Client
from surveys import errors

Pairs = list[tuple[str, str]]
Progress = Callable[[int, int], None]

TIMEOUT_S = 60
CHUNK_BYTES = 1 << 18
DEFAULT_NAME = "cutout.fits"


class NoOverlap(Exception):
    """Region and filters select no pixel."""

    def __init__(self) -> None:
        super().__init__("nothing there: region and filters select no pixel of the data")


#: What a file is by the end of its name.
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".json": "json"}

#: Options that are called otherwise than their parameters.
_PARAMETERS = {"format": "responseformat"}


def pairs_of(options: Mapping[str, object], base: str, output: Path | None = None) -> Pairs:
    """Options of the command line as parameters of the request.

    A short ID gets the service's base. A picture is asked for where the name of the output is that of one.

    Raises
    ------
    click.UsageError
        If a parameter is not written ``NAME=VALUE``.
    """
    pairs: Pairs = []
    for name, value in options.items():
        match value:
            case True:
                pairs.append((name, "true"))
            case str():
                pairs.append((_PARAMETERS.get(name, name), value))
            case tuple() if name == "param":
                pairs += map(_pair, value)
            case tuple():
                pairs += [(name, str(item)) for item in value]
    known = None if output is None else FORMATS.get(output.suffix.lower())
    if known and "responseformat" not in {name.lower() for name, _ in pairs}:
        pairs.append(("responseformat", known))
    return [
        (name, f"{base}?{value}" if name == "id" and not value.lower().startswith("ivo://") else value)
        for name, value in pairs
    ]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--param is written NAME=VALUE, such as --param EDGE=pad; got {text!r}")
    return name, value


def make_cutout(settings: Settings, pairs: Pairs, output: Path | None, progress: Progress) -> Path:
    """Make a cutout in this process, which may read whatever there is: it has the files.

    Raises
    ------
    ProtocolError
        As a client of the service would be told.
    NoOverlap
        If nothing overlaps.
    """
    parts = assemble(settings)
    try:
        asked = parts.sync.ask(Parameters.from_pairs(pairs), Client(caller=OPERATOR))
        if asked.is_empty:
            raise NoOverlap
        try:
            sent = parts.sync.cut(asked)
        except errors.NoOverlap as nothing:
            raise NoOverlap from nothing
        return _write(output or Path(sent.file_name), sent.chunks or iter(()), sent.size or 0, progress)
    finally:
        parts.engine.dispose()


def fetch_cutout(url: str, pairs: Pairs, output: Path | None, progress: Progress, token: str = "") -> Path:
    """Ask the service at `url` for a cutout; it knows its client by `token`, if it has to.

    Raises
    ------
    ProtocolError
        What the service answered, or that it did not.
    NoOverlap
        If nothing overlaps.
    """
    headers = {"Accept": "application/fits, image/*, application/json;q=0.9"}
    try:
        with requests.post(
            f"{url.rstrip('/')}/sync",
            pairs,
            headers=headers,
            stream=True,
            timeout=TIMEOUT_S,
            auth=Bearer(token, url) if token else None,
        ) as answer:
            if answer.status_code == 204:
                raise NoOverlap
            if not answer.ok:
                raise _told(answer)
            size = int(answer.headers.get("Content-Length", 0))
            chunks = answer.iter_content(CHUNK_BYTES)
            return _write(output or Path(_file_name(answer)), chunks, size, progress)
    except requests.RequestException as error:
        raise UsageError(f"{url} does not answer ({type(error).__name__})") from error


def _told(answer: requests.Response) -> ProtocolError:
    try:
        faults = json.loads(answer.text)["faults"]
        first, *others = [UsageError(fault["message"], fault["fix"]) for fault in faults]
    except (ValueError, KeyError, TypeError):
        return UsageError(f"the service answered {answer.status_code} {answer.reason}")
    first.also = tuple(others)
    return first


def _file_name(answer: requests.Response) -> str:
    """Name the service proposes, without any folder."""
    disposition = answer.headers.get("Content-Disposition", "")
    proposed = disposition.partition('filename="')[2].partition('"')[0]
    return Path(proposed.replace("\\", "/")).name or DEFAULT_NAME


def _write(path: Path, chunks: Iterator[bytes], size: int, progress: Progress) -> Path:
    """Write a file that appears when it is whole."""
    done = 0
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into")
    with NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", delete=False) as part:
        try:
            for chunk in chunks:
                part.write(chunk)
                done += len(chunk)
                progress(done, size)
        except BaseException:
            Path(part.name).unlink()
            raise
    written = Path(part.name)
    written.chmod(0o644)
    return written.replace(path)
