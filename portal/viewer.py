"""A sky viewer that was fetched, as it came: a script of others, beside the files of the pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response

from dali.errors import NotFound, quoted
from portal.assets import FOR_EVER


@dataclass(frozen=True, slots=True)
class Viewer:
    """A sky viewer.

    Parameters
    ----------
    name, version
        In its address, which is kept for ever.
    folder
        Where it lies, if it was fetched.
    script
        Its file.
    licences
        Those that are served beside it.
    """

    name: str
    version: str
    folder: Path
    script: str
    licences: tuple[str, ...]

    def path(self) -> str:
        """Give the path of the script, "" where it is not there. It may come while the service runs."""
        return f"/static/{self.name}/{self.version}/{self.script}" if self.file(self.script) else ""

    def file(self, name: str) -> Path | None:
        """Find one of its files; None where there is none of that name."""
        file = self.folder / name
        return file if name in (self.script, *self.licences) and file.is_file() else None


def make_blueprint(viewer: Viewer) -> Blueprint:
    """Make the resource of its files."""
    blueprint = Blueprint("viewer", __name__)

    @blueprint.get(f"/static/{viewer.name}/<version>/<name>")
    def show_viewer(version: str, name: str) -> Response:
        file = viewer.file(name) if version == viewer.version else None
        if file is None:
            raise NotFound(f"there is no file {quoted(f'{viewer.name}/{version}/{name}')}")
        response = Response(file.read_bytes(), content_type=_type(name))
        response.headers["Cache-Control"] = FOR_EVER
        return response

    return blueprint


def _type(name: str) -> str:
    return f"text/{'javascript' if name.endswith('.js') else 'plain'}; charset=utf-8"
