"""What can go wrong in the engine, as one small tree.

::

    SurveyError
    ├── RequestFault             the request asks for what cannot be had
    │   ├── UnknownDataset       no such identifier
    │   │   └── UnknownAlert     nor such an alert or object
    │   ├── AccessDenied         the caller may not read it
    │   ├── NoOverlap            the region has no pixel of the data, which pixels alone tell
    │   ├── NeedsStencil         a survey or survey band has no "whole"
    │   ├── SeveralImages        more than one image is needed; they are named
    │   └── TooLarge             over a limit; the nearest allowed size is named
    ├── DeclarationError         a survey's TOML is wrong
    ├── ImageRefused             a file cannot be indexed, with the reason
    ├── StaleImage               a file changed since it was indexed
    ├── BrokenImage              a file cannot be read
    └── NoRoom                   a large product has no place on the disk while it is made
"""

from __future__ import annotations


class SurveyError(Exception):
    """Root of everything the engine raises on purpose. The message is one sentence, without any path."""


class RequestFault(SurveyError):
    """The request cannot be answered; the message says why and what could be asked instead."""


class UnknownDataset(RequestFault):
    """No dataset has this identifier."""


class UnknownAlert(UnknownDataset):
    """No alert, object or stamp of a survey of alerts has this identifier."""


class AccessDenied(RequestFault):
    """The caller may not read this dataset."""


class NoOverlap(RequestFault):
    """The region has no pixel of a stamp. Of images the plan tells, by being empty."""


class NeedsStencil(RequestFault):
    """A survey or a survey band was named without a region; it has no whole."""


class SeveralImages(RequestFault):
    """The region needs more than one image (or band), which this request cannot combine.

    Parameters
    ----------
    message
        What is the matter and what to ask instead.
    datasets
        What follows ``?`` in the identifiers of the images concerned.
    """

    def __init__(self, message: str, datasets: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.datasets = datasets


class TooLarge(RequestFault):
    """The cutout would pass a limit of the service."""


class DeclarationError(SurveyError):
    """The declaration of a survey is wrong: names the file, the key and what is expected."""


class ImageRefused(SurveyError):
    """A file or HDU that the index does not take, with the reason."""


class StaleImage(SurveyError):
    """A file is no longer the one that was indexed (size or modification time differ).

    `dataset`, where it is not empty, is what follows ``?`` in the identifier of the image concerned.
    """

    dataset: str = ""


class BrokenImage(SurveyError):
    """A file that is indexed cannot be read (truncated, corrupt, gone).

    `dataset`, where it is not empty, is what follows ``?`` in the identifier of the image concerned.
    """

    dataset: str = ""


class NoRoom(SurveyError):
    """There is no room for the temporary file of a large product; worth a retry later."""
