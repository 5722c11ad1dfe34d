"""What may be asked of pictures of stamps: decided without a pixel."""

from __future__ import annotations

from dataclasses import replace

from surveys.errors import RequestFault
from surveys.picture.look import Look, choose_look
from surveys.request import CutoutRequest, PictureOptions
from surveys.survey import Survey

#: What a picture of stamps can be; the last one of several epochs.
MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp")


def check_stamp_look(request: CutoutRequest, survey: Survey) -> None:
    """Refuse what pictures of stamps do not know, and what contradicts itself; needs no pixel.

    Raises
    ------
    RequestFault
        Naming the parameter.
    """
    options = request.picture
    if options is None:
        return
    meaningless = (
        ("RGB", bool(options.bands)),
        ("ALGORITHM", bool(options.algorithm)),
        ("VARIANT", bool(options.variant)),
        ("Q", options.q is not None),
        ("MINIMUM", bool(options.minimum)),
        ("CONTRAST", options.contrast is not None),
        ("SATURATION", options.saturation is not None),
    )
    for word, is_given in meaningless:
        if is_given:
            raise RequestFault(
                f"{word} is for colour pictures of several bands; a stamp is of one band: leave it out"
            )
    if options.orient == "north":
        raise RequestFault("ORIENT=north: stamps are not resampled; leave ORIENT out")
    faults = []
    for label in request.filters or [band.label for band in survey.bands]:
        try:
            look_of_stamp(options, survey, label)
        except RequestFault as fault:
            faults.append(fault)
        else:
            return  # which bands there are shows when the alerts are read
    raise faults[0]


def look_of_stamp(options: PictureOptions, survey: Survey, band: str) -> Look:
    """Decide how the stamp of a band is shown.

    Raises
    ------
    RequestFault
        As of pictures of images.
    """
    if not band:
        # Recipes that are for any band are for one that is unknown, too.
        recipes = tuple(one for one in survey.recipes if not one.bands and not one.band_cuts)
        survey, band = replace(survey, recipes=recipes), survey.bands[0].label
    still = replace(options, media_type=MEDIA_TYPES[0]) if options.media_type in MEDIA_TYPES else options
    return choose_look(still, survey, [band])
