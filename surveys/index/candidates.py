"""Images near a region, as far as footprints tell, and those that were found near others like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsst.sphgeom import LonLat, NormalizedAngle, Region, UnitVector3d, Vector3d

#: Of so many sets of cells it is kept which images have one of them,
CELLS_KEPT = 1024
#: where these are few.
FEW = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image whose footprint overlaps a region, as far as footprints tell.

    `distance_deg` is that of its centre from the centre of the region.
    """

    artifact_id: int
    dataset: str
    band: str
    s_ra_deg: float
    s_dec_deg: float
    distance_deg: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An image with a cell in common with a region.

    Parameters
    ----------
    artifact_id, dataset, band, s_ra_deg, s_dec_deg
        As its row in the index has them.
    centre, footprint
        The same place as a vector, and where on the sky its pixels are.
    """

    artifact_id: int
    dataset: str
    band: str
    s_ra_deg: float
    s_dec_deg: float
    centre: Vector3d
    footprint: Region

    @classmethod
    def of(cls, row: Sequence[Any]) -> Neighbour:
        """Read a row of `surveys.index.queries.candidates_in`."""
        artifact_id, key, band, s_ra_deg, s_dec_deg, cover = row
        # The angle between vectors is a fifth of the work of that between unit vectors, and the same.
        centre = Vector3d(UnitVector3d(LonLat.fromDegrees(s_ra_deg, s_dec_deg)))
        return cls(artifact_id, key, band, s_ra_deg, s_dec_deg, centre, Region.decode(cover))

    def candidate(self, middle: Vector3d) -> Candidate:
        """Return it as one for a region about `middle`."""
        distance_deg = NormalizedAngle(self.centre, middle).asDegrees()
        return Candidate(
            self.artifact_id, self.dataset, self.band, self.s_ra_deg, self.s_dec_deg, distance_deg
        )


def overlapping(neighbours: Sequence[Neighbour], region: Region) -> list[Candidate]:
    """Choose those whose footprints overlap a region, the nearest first."""
    middle = Vector3d(region.getBoundingCircle().getCenter())
    found = [
        neighbour.candidate(middle)
        for neighbour in neighbours
        if neighbour.footprint.overlaps(region) is not False
    ]
    return sorted(found, key=lambda candidate: (candidate.distance_deg, candidate.dataset))
