"""Files that pages need: each has its content in its name, so that browsers keep it for ever."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from dali.errors import NotFound, quoted

_TYPES = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file.

    Parameters
    ----------
    address
        Its name, with a piece of the SHA-256 of what is in it.
    """

    address: str
    content: bytes
    media_type: str


class Assets:
    """All files of ``static/``, in memory."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        for file in (files("portal") / "static").iterdir():
            stem, dot, end = file.name.rpartition(".")
            if f"{dot}{end}" in _TYPES:
                content = file.read_bytes()
                address = f"{stem}.{sha256(content).hexdigest()[:12]}.{end}"
                self._assets[file.name] = Asset(address, content, _TYPES[f"{dot}{end}"])

    def address(self, name: str) -> str:
        """Give the path of a file."""
        return f"/static/{self._assets[name].address}"

    def find(self, address: str) -> tuple[Asset, bool]:
        """Find a file, and tell whether it still is what the address says.

        Raises
        ------
        NotFound
            If there is no such file.
        """
        stem, _, end = address.rpartition(".")
        asset = self._assets.get(f"{stem.partition('.')[0]}.{end}")
        if asset is None:
            raise NotFound(f"there is no file {quoted(address)}")
        return asset, asset.address == address


def make_blueprint(assets: Assets) -> Blueprint:
    """Make the resource."""
    blueprint = Blueprint("static_files", __name__)

    @blueprint.get("/static/<name>")
    def show_file(name: str) -> BaseResponse:
        asset, is_current = assets.find(name)
        response = Response(asset.content, content_type=asset.media_type)
        response.set_etag(asset.address)
        # Pages of another version ask for its files while one replaces the other.
        response.headers["Cache-Control"] = FOR_EVER if is_current else "no-cache"
        return response.make_conditional(request)

    return blueprint
