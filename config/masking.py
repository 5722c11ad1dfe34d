"""Settings as administrators may read them: without what is secret."""

from __future__ import annotations

import re
from dataclasses import Field, fields
from urllib.parse import urlsplit

from config.settings import Settings, load_settings
from portal.admin.configuration import Section, Setting

#: In place of a secret that there is.
MASKED = "(set, not shown)"
_SECRET = re.compile(r"secret|password|passwd|credential|(^|_)(token|key)$")
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")


def shown_settings(settings: Settings) -> list[Section]:
    """List all settings, those marked that nobody has set otherwise than they come."""
    usual = load_settings({})
    return [
        _section(one.name, getattr(settings, one.name), getattr(usual, one.name)) for one in fields(Settings)
    ]


def _section(name: str, section: object, usual: object) -> Section:
    found = []
    for one in fields(section):  # type: ignore[arg-type]  # sections are dataclasses
        value = getattr(section, one.name)
        found.append(Setting(one.name, _shown(one, value), value == getattr(usual, one.name)))
    return Section(name, tuple(found))


def _shown(field: Field[object], value: object) -> object:
    """Give what may be seen of a value: of an address that may hold a password, where it leads to."""
    if isinstance(value, bool | int | float) or value in ("", ()):
        return value
    if not field.repr:
        return _place(str(value))
    if _SECRET.search(field.name):
        return MASKED
    if isinstance(value, tuple):
        return tuple(_without_names(str(entry)) for entry in value)
    return _without_names(str(value))


def _place(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASKED
    if not parts.scheme or "://" not in text:
        return MASKED
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _without_names(text: str) -> str:
    return _USERINFO.sub("…@", text)
