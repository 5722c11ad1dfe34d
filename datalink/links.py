"""A link, and the columns of a table of links (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from dali.votable import Field, Row

#: XML ID of the column of identifiers, referred to by descriptors.
ID_FIELD = "ID"

FIELDS = (
    Field(id=ID_FIELD, name="ID", ucd="meta.id;meta.main", description="Publisher DID, as it was sent"),
    Field(name="access_url", ucd="meta.ref.url", description="Where to get it"),
    Field(name="service_def", ucd="meta.ref", description="XML ID of the service to call, described below"),
    Field(name="error_message", ucd="meta.code.error", description="Why there is no link"),
    Field(name="description", ucd="meta.note", description="What it is"),
    Field(
        name="semantics",
        ucd="meta.code",
        description="Term of http://www.ivoa.net/rdf/datalink/core for what it is to the dataset",
    ),
    Field(name="content_type", ucd="meta.code.mime", description="Media type"),
    Field(
        name="content_length",
        datatype="long",
        unit="byte",
        ucd="phys.size;meta.file",
        description="Size",
    ),
    Field(
        name="content_qualifier",
        description="Term of http://www.ivoa.net/rdf/product-type for the kind of data",
    ),
    Field(name="link_auth", ucd="meta.code", description="Whether one must say who one is"),
    Field(
        name="link_authorized",
        datatype="boolean",
        ucd="meta.code",
        description="Whether the caller may follow the link",
    ),
)


@dataclass(frozen=True, slots=True)
class WholeImage:
    """How a whole dataset is had: path and query below the base of the service, media type, size in bytes.

    `size` is None where only making it tells.
    """

    path: str
    media_type: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One row; exactly one of `access_url`, `service_def` and `error_message` is given."""

    id: str
    semantics: str
    access_url: str | None = None
    service_def: str | None = None
    error_message: str | None = None
    description: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    content_qualifier: str | None = None
    is_public: bool | None = None
    authorized: bool | None = None

    def row(self) -> Row:
        """Values in the order of `FIELDS`."""
        auth = None if self.is_public is None else str(not self.is_public).lower()
        return (
            self.id,
            self.access_url,
            self.service_def,
            self.error_message,
            self.description,
            self.semantics,
            self.content_type,
            self.content_length,
            self.content_qualifier,
            auth,
            self.authorized,
        )
