"""What the engine refuses, in the words that clients are told: the same by sync and by jobs."""

from __future__ import annotations

from dali.errors import AuthorizationError, NotFound, ProtocolError, ServerError, UsageError
from surveys.errors import AccessDenied, RequestFault, SeveralImages, UnknownDataset
from surveys.identifiers import Identifiers
from surveys.request import AS_DECLARED, CutoutRequest

#: So many IDs are named where a region needs several images.
NAMED_IMAGES = 8


def refusal(fault: RequestFault, identifiers: Identifiers) -> ProtocolError:
    """Tell why a request cannot be answered."""
    match fault:
        case UnknownDataset():
            return NotFound(str(fault), f"IDs here are {identifiers.did('survey/band/image')}, or shorter.")
        case AccessDenied():
            return AuthorizationError(str(fault), "Ask the people who run this service.")
        case SeveralImages():
            dids = [identifiers.did(dataset) for dataset in fault.datasets]
            more = f" and {len(dids) - NAMED_IMAGES} more" if len(dids) > NAMED_IMAGES else ""
            return UsageError(str(fault), f"IDs: {', '.join(dids[:NAMED_IMAGES])}{more}")
        case _:
            return UsageError(str(fault))


def refuse_unmade(request: CutoutRequest) -> None:
    """Refuse what is understood but not made yet; it must not be answered with something else."""
    if request.picture is not None:
        raise RequestFault("pictures are not made yet: ask for RESPONSEFORMAT=fits")
    if (request.mosaic, request.edge, request.detail, request.layout) != (
        AS_DECLARED,
        "auto",
        "image",
        "mef",
    ):
        raise RequestFault("mosaics and their options are not made yet: leave them out")


def unreadable(dataset: str, fix: str = "") -> ServerError:
    """Tell that the file of an image is broken."""
    return ServerError(f"the image {dataset} cannot be read at the moment", fix)
