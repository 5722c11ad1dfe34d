"""Reading the TOML file of a provider key by key, so that whatever is wrong with it is named."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: What stands for a secret in the examples that come with the program.
SAMPLE: Final = "change-me"


class ProviderError(Exception):
    """A declaration of a provider is wrong; the message names the file, the key, and what is expected."""


@dataclass
class Keys:
    """A TOML table being read: every key is taken once, what is left over is unknown.

    Parameters
    ----------
    content
        The table.
    source
        Name of its file, for messages.
    prefix
        What stands before the keys in messages.
    """

    content: dict[str, Any]
    source: str
    prefix: str = ""
    _known: set[str] = field(default_factory=set)

    def fault(self, key: str, expected: str) -> ProviderError:
        """Make the error that says what is wrong with a key; its value may be a secret and is not told."""
        got = "nothing" if key not in self.content else "something else"
        return ProviderError(f"{self.source}: {self.prefix}{key}: expected {expected}, got {got}")

    def take(self, key: str, default: object = ...) -> Any:
        """Give the value of a key; one without a default must be there."""
        self._known.add(key)
        if key in self.content:
            return self.content[key]
        if default is ...:
            near = difflib.get_close_matches(key, sorted(self.content.keys() - self._known), 1)
            like = f"; it has {near[0]}, is that meant?" if near else ""
            raise self.fault(key, f"a value: this key is required{like}")
        return default

    def text(self, key: str, default: object = ...) -> str:
        """Give a text, without blanks around it."""
        value = self.take(key, default)
        if not isinstance(value, str) or (default is ... and not value.strip()):
            raise self.fault(key, "a text")
        return value.strip()

    def texts(self, key: str, default: object = ...) -> tuple[str, ...]:
        """Give a list of texts; one text stands for a list of one."""
        value = self.take(key, default)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(one, str) and one for one in values):
            raise self.fault(key, "a text or a list of texts")
        if default is ... and not values:
            raise self.fault(key, "at least one text")
        return tuple(values)

    def truth(self, key: str, default: bool) -> bool:
        """Give true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: object = ...) -> Any:
        """Give one of the texts allowed."""
        value = self.take(key, default)
        if value not in allowed:
            raise self.fault(key, f"one of {', '.join(allowed)}")
        return value

    def whole(self, key: str, default: int, lowest: int, highest: int) -> int:
        """Give a whole number between two limits."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise self.fault(key, f"a whole number from {lowest} to {highest}")
        return value

    def words(self, key: str) -> dict[str, str]:
        """Give a table of texts; an empty one where it is missing."""
        value = self.take(key, {})
        if not isinstance(value, dict) or not all(isinstance(word, str) and word for word in value.values()):
            raise self.fault(key, "a table of texts")
        return dict(value)

    def secret(self, key: str, environ: Mapping[str, str] = os.environ) -> str:
        """Give what ``<key>_file`` or the variable ``<key>_env`` holds; "" where neither is named."""
        path, name = self.text(f"{key}_file", ""), self.text(f"{key}_env", "")
        if path and name:
            raise self.fault(f"{key}_env", f"nothing, as {key}_file is given")
        found = ""
        if path:
            try:
                found = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise self.fault(f"{key}_file", "a file that can be read") from error
        elif name:
            found = environ.get(name, "").strip()
        if (path or name) and not found:
            where = "a file that is not empty" if path else "the name of a variable that is set"
            raise self.fault(f"{key}_file" if path else f"{key}_env", where)
        if found == SAMPLE:
            raise self.fault(f"{key}_file" if path else f"{key}_env", "a secret of your own, not the sample")
        return found

    def table(self, key: str, *, required: bool = False) -> Keys:
        """Give a table within this one; an empty one where it is missing and need not be there."""
        value = self.take(key) if required else self.take(key, {})
        if not isinstance(value, dict) or (required and not value):
            raise self.fault(key, "a table")
        return Keys(value, self.source, f"{self.prefix}{key}.")

    def finish(self) -> None:
        """Refuse the keys that nobody asked for, naming the nearest known one."""
        for key in self.content:
            if key not in self._known:
                near = difflib.get_close_matches(key, sorted(self._known), 1, cutoff=0)
                raise ProviderError(
                    f"{self.source}: {self.prefix}{key}: unknown key; the nearest known one is {near[0]}"
                )
