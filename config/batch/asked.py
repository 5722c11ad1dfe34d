"""What a run is to do, made of the options of the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from config.batch.faults import Refused
from config.batch.service import PART

#: An archive is kept as it comes, taken apart into a folder, or not asked for: its files are, one by one.
Form = Literal["archive", "folder", "files"]
#: Names of archives by their ends.
ARCHIVES = (".zip", ".tar")
#: Ways to go on with a job, and what it is told.
ACTIONS = {"retry": "RETRY", "resume": "RESUME", "attach": ""}


@dataclass(frozen=True, slots=True)
class Earlier:
    """A job that there is already, and what is to be done with it (an ACTION, "" for waiting)."""

    url: str
    action: str


@dataclass(frozen=True, slots=True)
class Output:
    """Where the files go."""

    path: Path
    form: Form

    @property
    def parameters(self) -> str:
        """What is asked of the archive."""
        return "?FORMAT=tar" if self.path.suffix.lower() == ".tar" else ""


def parameters_of(options: dict[str, Any], did: Callable[[str], str]) -> list[tuple[str, str]]:
    """Parameters of the request.

    Parameters
    ----------
    options
        Of the command.
    did
        Makes publisher DIDs of short names.

    Raises
    ------
    Refused
        If they contradict one another.
    """
    surveys, bands, kinds = options["survey"], options["band"], options["kind"]
    for name, labels in (("band", bands), ("kind", kinds)):
        if labels and not surveys:
            raise Refused(
                f"--{name} goes with --survey. Rows may have a column {name} of their own, as they may "
                "survey."
            )
    if bands and kinds:
        raise Refused(
            "--band is for surveys of images, and --kind for those of alerts; their bands are FILTER"
        )
    names = [f"{survey}/{part}" for survey in surveys for part in (*bands, *kinds)] or list(surveys)
    pairs = [("UPLOAD", f"targets,param:{PART}")]
    pairs += [("ID", did(name)) for name in (*options["id"], *names)]
    for name in ("size", "radius", "columns", "onbad"):
        if options[name] is not None:
            pairs.append((name.upper(), options[name]))
    pairs += [("RESPONSEFORMAT", text) for text in options["format"]]
    if options["label"]:
        pairs.append(("RUNID", options["label"]))
    return [*pairs, *map(_pair, options["param"])]


def earlier_of(options: dict[str, Any], base: str) -> Earlier | None:
    """Job that the options name; None if there is to be a new one.

    Raises
    ------
    Refused
        If they name several, or a list beside one.
    """
    named = [(name, options[name]) for name in ACTIONS if options[name]]
    if not named:
        if options["file"] is None:
            raise Refused(
                "FILE is missing: the table of targets. (Or name a job: --attach, --retry, --resume.)"
            )
        return None
    own = [
        f"--{name}" for name in ("survey", "id", "band", "kind", "size", "radius", "format") if options[name]
    ]
    if options["file"] is not None or len(named) > 1 or own:
        others = [f"--{name}" for name, _ in named[1:]] + own
        also = "FILE" if options["file"] is not None else " and ".join(others)
        raise Refused(f"--{named[0][0]} goes on with a job as it is, and {also} does not go with it")
    name, job = named[0]
    return Earlier(job.rstrip("/") if "://" in job else f"{base}/async/{job}", ACTIONS[name])


def base_of(options: dict[str, Any]) -> str | None:
    """URL of the service, None if the options do not tell it."""
    for name in ACTIONS:
        job = options[name]
        if job and "://" in job:
            base, slash, _ = job.partition("/async/")
            if not slash:
                raise Refused(f"--{name} is the URL of a job, …/async/<job>, or its id; got {job!r}")
            return str(base)
    return options["url"]  # type: ignore[no-any-return]


def output_of(options: dict[str, Any], earlier: Earlier | None) -> Output:
    """Say where the files go.

    Raises
    ------
    Refused
        If they cannot go there.
    """
    if earlier is None:
        name = Path(options["file"]).name.partition(".")[0] or "targets"
    else:
        name = f"job-{urlsplit(earlier.url).path.rpartition('/')[2][:12]}"
    path: Path = options["output"] or Path(name if options["files"] else f"{name}.zip")
    is_archive = path.suffix.lower() in ARCHIVES
    if options["files"] and is_archive:
        raise Refused(f"--files writes into a folder, and {path} is the name of an archive")
    if not path.absolute().parent.is_dir():
        raise Refused(f"there is no folder {path.parent} to write {path.name} into")
    if is_archive and path.is_dir():
        raise Refused(f"{path} is a folder; an archive is to have that name")
    return Output(path, "files" if options["files"] else "archive" if is_archive else "folder")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise Refused(f"--param is written NAME=VALUE, such as --param STRETCH=asinh; got {text!r}")
    return name, value


def is_used(output: Output) -> bool:
    """Whether something is there already that would be overwritten."""
    path = output.path
    return path.is_file() or (path.is_dir() and any(path.iterdir()))
