"""The settings, to be read; secrets are not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.admin.area import Area
from portal.admin.asked import Asked


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting; `is_default` says that nobody has set it otherwise."""

    name: str
    value: object
    is_default: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A section of settings."""

    name: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class ConfigurationShown:
    """All settings."""

    version: str
    sections: tuple[Section, ...]


def configuration_area(version: str, sections: Sequence[Section]) -> Area:
    """Make the area, of settings in which secrets are masked already."""
    shown = ConfigurationShown(version, tuple(sections))

    def look(asked: Asked) -> ConfigurationShown:
        return shown

    return Area("configuration", "Configuration", look)
