"""Folders to which packages may be delivered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Destination:
    """A folder to which packages may be delivered, and whose it is.

    Raises
    ------
    ValueError
        If its path is not absolute, or its owner would be root.
    """

    name: str
    uid: int
    gid: int
    path: str

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or not self.uid > 0 or not self.gid > 0:
            raise ValueError("a folder of deliveries is absolute, and of a user and a group other than root")

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read ``name:uid:gid:/path``; ValueError if it is not that."""
        name, uid, gid, path = text.split(":", 3)
        return cls(name, int(uid), int(gid), path)
