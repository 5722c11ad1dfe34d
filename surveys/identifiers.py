"""Publisher identifiers: ``<base>?<survey>/<band>/<image>``, and ``…/weight`` for other layers of an image.

The index knows only what follows ``?``; the base is a setting, so that registering the service later changes
no index, and identifiers made under a former base still resolve. Whatever follows ``?`` is opaque here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from surveys.errors import UnknownDataset

_UNSAFE = re.compile(r"[^A-Za-z0-9._~-]")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The authority and resource in front of every identifier of this service.

    Parameters
    ----------
    base
        IVOID of the service's record, such as ``ivo://authority/resource``.
    former
        Bases used earlier.
    """

    base: str
    former: tuple[str, ...] = ()

    def did(self, dataset: str) -> str:
        """Make the publisher DID of a dataset."""
        return f"{self.base}?{dataset}"

    def parse(self, obs_publisher_did: str) -> str:
        """Find the dataset of a publisher DID, as it was written.

        Raises
        ------
        UnknownDataset
            If the identifier is not one of this service.

        Notes
        -----
        IVOIDs are compared without case (IVOA Identifiers 2.0, section 2.1).
        """
        base, _, dataset = obs_publisher_did.partition("?")
        is_known = base == self.base or base.lower() in {known.lower() for known in (self.base, *self.former)}
        if not dataset or not is_known:
            raise UnknownDataset(f"no dataset has the ID {_shown(obs_publisher_did)}")
        return dataset


def is_layer(dataset: str) -> bool:
    """Whether this names a layer other than the image: ``survey/band/image/weight``."""
    return dataset.count("/") == 3


def safe_segment(name: str) -> str:
    """Make a part of an identifier of any name: characters outside ``[A-Za-z0-9._~-]`` become ``_``."""
    return _UNSAFE.sub("_", name)


def told_apart(name: str) -> str:
    """Make a `safe_segment` with a short hash of the true name, for the names `safe_segment` makes equal."""
    return f"{safe_segment(name)}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _shown(text: str, longest: int = 80) -> str:
    return repr(text if len(text) <= longest else f"{text[: longest - 1]}…")
