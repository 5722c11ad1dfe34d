"""What the help page says of words, errors, rows and limits; what it lists comes from the code itself."""

from __future__ import annotations

from collections.abc import Mapping

from portal.words import marked

#: What the words of ``/cutout`` mean.
HABITS: Mapping[str, str] = {
    "RA": marked("Right ascension: degrees, or hours as 10:00:24"),
    "DEC": marked("Declination: degrees, or degrees and minutes as +02:12:00"),
    "POS": marked("Both in one, in any notation"),
    "SIZE": marked("Side of the square, or width and height: 30arcsec, 2arcmin, 256px"),
    "WIDTH": marked("Width of the box, with HEIGHT"),
    "HEIGHT": marked("Height of the box, with WIDTH"),
    "PIXSCALE": marked("Size of a pixel: 0.3arcsec, or arcseconds"),
    "SURVEY": marked("A survey, or a survey and a band: demo/r"),
    "BANDS": marked("Bands of the survey: r, or g,r,i"),
    "FORMAT": marked("png, jpeg or fits"),
}
#: What each label of an error means, and what to do.
ERRORS: Mapping[str, tuple[str, str]] = {
    "UsageError": (
        marked(
            "The request is wrong, or there is nothing of that name. The first line says what, "
            "the second how to mend it."
        ),
        marked("Change the request: sent again as it is, it is refused again."),
    ),
    "MultiValuedParamNotSupported": (
        marked("A parameter has several values where one is taken: /sync makes one cutout."),
        marked("Send one value, or make a job at /async: it makes a result of each combination."),
    ),
    "AuthenticationError": (
        marked("It must be known who asks; or the token, the session or the password is not valid."),
        marked("Sign in, or send a token: Authorization: Bearer …"),
    ),
    "AuthorizationError": (
        marked("These data, or this job, are not open to who asks; or a quota does not suffice."),
        marked("Ask those who run the survey to let you in. /quota tells how quotas stand."),
    ),
    "ServiceUnavailable": (
        marked("Not now: there is too much to do, or a part of the service is away."),
        marked("Try again after the seconds that the header Retry-After says."),
    ),
    "Error": (
        marked("The service failed, a file is broken, or requests come too fast (429, with Retry-After)."),
        marked("Report the request id, the last line of the answer, to those who run the service."),
    ),
}
VERDICTS: Mapping[str, str] = {
    "ok": marked("There is a file."),
    "clipped": marked("There is a file; the box reaches beyond the data, and is padded or cut."),
    "no_overlap": marked("There are no data there. That is an answer, and no failure."),
    "no_rights": marked("The data are not open to you."),
    "failed": marked("It could not be made; the row says why in the words of /sync."),
    "poison": marked("It brought its process down twice, and was set aside."),
}
LIMITS: Mapping[str, str] = {
    "max_pixels": marked("Pixels of a cutout at once"),
    "max_bytes": marked("Bytes of a cutout at once"),
    "max_seconds": marked("Time of a cutout at once"),
    "inline_pixels": marked("Pixels up to which the web server makes it itself; more are for a worker"),
    "job_max_pixels": marked("Pixels of a cutout of a job"),
    "job_max_bytes": marked("Bytes of a cutout of a job"),
    "max_targets": marked("Rows of a table of targets"),
    "max_list_rows": marked("Cutouts of one job"),
    "max_upload_bytes": marked("Bytes of a table"),
    "destruction_s": marked("Time that results are kept, unless said otherwise"),
    "max_destruction_s": marked("Time that results are kept at most"),
}
GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "band",
        marked(
            "Label of a filter of a survey: g, r, W1. The parameter BAND of SODA is a range of "
            "wavelengths, in metres."
        ),
    ),
    ("cutout", marked("What is made of a request: the pixels of a region, as FITS or as a picture.")),
    (
        "identifier",
        marked(
            "Publisher DID: the name of an image, a survey band or a survey for the whole Virtual "
            "Observatory; the value of ID."
        ),
    ),
    ("footprint", marked("Where a survey, or an image, has data.")),
    ("stencil", marked("The region that is asked for: a circle, a box, a polygon.")),
    ("mosaic", marked("A cutout that is put together of several images.")),
    (
        "recipe",
        marked(
            "How pixel values become colours. A survey names its own, with a version: its numbers "
            "never change."
        ),
    ),
    (
        "job",
        marked("A request that is worked on while nobody waits for it: made at /async, by the UWS standard."),
    ),
    ("ledger", marked("What became of each row of a list, while it is made and afterwards.")),
    (
        "manifest",
        marked(
            "The ledger as a table in the package of a job: a row for each cutout, with its file, "
            "checksum and facts."
        ),
    ),
    ("lane", marked("A queue: high is for jobs that are soon done, low for all others.")),
    ("quota", marked("How much somebody, or a group, may use: in a day, at a time, or to keep.")),
    ("destruction", marked("When a job and its results are removed.")),
    ("run id", marked("The name that you give a job: RUNID, shown as its label.")),
)
#: How pixel values become levels, by algorithm, as formulas.
FORMULAS: Mapping[str, str] = {
    "grey": """\
linear   y = x
sqrt     y = √x
log      y = log(1000 x + 1) / log 1001
asinh    y = asinh(x / a) / asinh(1 / a),   a = SOFTENING / (w - b)
power    y = x^POWER""",
    "lupton": """\
I = (r + g + b) / 3
f = asinh(Q (I - m) / S) / Q,   f = 0 where I ≤ m
R = r f / I,   G = g f / I,   B = b f / I
(R, G, B) / max(R, G, B) where that is above 1""",
    "stiff": """\
c = (v - min) / (max - min)
Y = mean(max(c, 0))
out = [max(0, Y + S (c - mean(c))) Y^(1/F - 1)]^(1/2.2)""",
}
