"""Files that pages need: each has its content in its name, so that browsers keep it for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from dali.errors import NotFound, quoted
from dali.responses import TEXT

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".js": "text/javascript; charset=utf-8",
}
#: What search engines are to leave alone: whatever takes work, and what is somebody's own.
_NOT_FOR_ROBOTS = (
    "/sync",
    "/async",
    "/cutout",
    "/api",
    "/preview",
    "/estimate",
    "/query",
    "/links",
    "/hips",
    "/explore?",
    "/jobs",
    "/account",
    "/admin",
    "/login",
)
MARK = "mark.svg"
FOR_EVER = "public, max-age=31536000, immutable"
#: What a module says of another: ``from "./name.js"``, ``import("./name.js")``, ``import "./name.js"``.
_IMPORT = re.compile(r'(?<=["\'])\./([\w-]+\.js)(?=["\'])')
#: The same in a module that names others by their addresses.
_IMPORTED = re.compile(r'(?<=["\'])\./([\w-]+\.[0-9a-f]+\.js)(?=["\'])')


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
    """All files of ``static/``, in memory. Modules name each other by their addresses."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        texts = {file.name: file.read_bytes() for file in (files("portal") / "static").iterdir()}
        texts = {name: text for name, text in texts.items() if _end(name) in _TYPES}
        for name in texts:
            self._add(name, texts, ())

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
        asset = self._assets.get(_plain(address))
        if asset is None:
            raise NotFound(f"there is no file {quoted(address)}")
        return asset, asset.address == address

    def scripts(self, names: Iterable[str]) -> Iterator[str]:
        """Give the texts of some modules, and of all that they import."""
        waiting, seen = list(names), set[str]()
        while waiting:
            if (name := waiting.pop()) not in seen:
                seen.add(name)
                text = self._assets[name].content.decode()
                waiting += [_plain(address) for address in _IMPORTED.findall(text)]
                yield text

    def _add(self, name: str, texts: Mapping[str, bytes], by: tuple[str, ...]) -> Asset:
        """Add a file after those it imports: their addresses are in it, and so in its own."""
        if name in by:
            raise ValueError(f"modules import each other in a circle: {' '.join((*by, name))}")
        if name not in self._assets:
            content = texts[name]
            if _end(name) == ".js":

                def named(found: re.Match[str]) -> str:
                    return f"./{self._add(found[1], texts, (*by, name)).address}"

                content = _IMPORT.sub(named, content.decode()).encode()
            stem, _, end = name.rpartition(".")
            address = f"{stem}.{sha256(content).hexdigest()[:12]}.{end}"
            self._assets[name] = Asset(address, content, _TYPES[_end(name)])
        return self._assets[name]


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

    @blueprint.get("/favicon.ico")
    def show_mark() -> BaseResponse:
        # Browsers ask for it where no page says otherwise, as beside JSON.
        mark, _ = assets.find(MARK)
        response = Response(mark.content, content_type=mark.media_type)
        response.set_etag(mark.address)
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response.make_conditional(request)

    @blueprint.get("/robots.txt")
    def show_robots() -> Response:
        root = request.root_path.rstrip("/")
        lines = ["User-agent: *", *(f"Disallow: {root}{path}" for path in _NOT_FOR_ROBOTS), ""]
        return Response("\n".join(lines), content_type=TEXT)

    return blueprint


def _plain(address: str) -> str:
    """Give the name of a file without the piece of what is in it."""
    stem, _, end = address.rpartition(".")
    return f"{stem.partition('.')[0]}.{end}"


def _end(name: str) -> str:
    return f".{name.rpartition('.')[2]}"
