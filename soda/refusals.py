"""What the engine refuses, in the words that clients are told: the same by sync and by jobs."""

from __future__ import annotations

from dali.errors import (
    AuthorizationError,
    NotFound,
    ProtocolError,
    ServerError,
    ServiceUnavailable,
    UsageError,
)
from soda.targets import UploadRefused
from surveys.errors import (
    AccessDenied,
    BrokenImage,
    RequestFault,
    SeveralImages,
    StaleImage,
    UnknownAlert,
    UnknownDataset,
)
from surveys.identifiers import Identifiers
from surveys.plan import CutoutPlan
from uws.jobtype import JobRefused

#: Said where a temporary file has no room.
NO_ROOM = "there is no room for a large cutout while it is made"

#: After this time a file that was replaced may be indexed again.
REPLACED_RETRY_S = 30

#: So many IDs are named where a region needs several images.
NAMED_IMAGES = 8


class TableRefused(JobRefused):
    """A table of targets is of no use.

    `columns`: those it has, as far as they are known.
    """

    def __init__(self, refused: UploadRefused) -> None:
        super().__init__(refused.sentence, refused.fix, status=refused.status)
        self.columns = refused.seen


class TooManyRows(JobRefused):
    """A job would have more cutouts than it may.

    `most`: so many it may have.
    """

    def __init__(self, sentence: str, fix: str, most: int) -> None:
        super().__init__(sentence, fix)
        self.most = most


class NoSuchAlert(NotFound):
    """A row names an alert, or an object, that is not there: the survey and its bands are."""


def refusal(fault: RequestFault, identifiers: Identifiers) -> ProtocolError:
    """Tell why a request cannot be answered."""
    match fault:
        case UnknownAlert():
            alert, thing = identifiers.did("survey/alert/number"), identifiers.did("survey/object/name")
            return NoSuchAlert(
                str(fault), f"IDs of alerts are {alert} and {thing}, or longer by a kind of stamp."
            )
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


def unreadable(dataset: str, fix: str = "") -> ServerError:
    """Tell that the file of an image is broken."""
    return ServerError(f"the image {dataset} cannot be read at the moment", fix)


def out_of_reach(fault: StaleImage | BrokenImage, plan: CutoutPlan, fix: str = "") -> ProtocolError:
    """Name what is in the way: a cutout of several images, or alerts, is made of all or not at all."""
    dataset = fault.dataset or next(iter(plan.datasets), plan.request.dataset)
    if not plan.stamps:
        return unreadable(dataset, fix)
    if isinstance(fault, StaleImage):
        return ServiceUnavailable(
            f"the file of the alert {dataset} was replaced, and is not indexed again yet",
            "Try again a little later.",
            retry_after_s=REPLACED_RETRY_S,
        )
    # It says what is wrong, and where in no folder.
    said = str(fault)
    return ServerError(said if dataset in said else f"the alert {dataset} cannot be read: {said}", fix)
