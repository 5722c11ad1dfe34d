"""Links of alerts, and of objects with all alerts there are of them (section 3.2.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from dali.errors import ProtocolError
from datalink.links import Link, WholeImage
from surveys.alert import AlertRecord
from surveys.identifiers import Identifiers
from surveys.index.facts import DatasetFacts

FITS, PNG, WEBP = "application/fits", "image/png", "image/webp"
_MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)


class AlertLinks:
    """Writes the links of one dataset of a survey of alerts.

    Parameters
    ----------
    did
        Identifier, as it was sent.
    facts
        What is known of it.
    identifiers
        Publisher DIDs of this service.
    base_url
        Public URL of the service.
    whole
        Tells how the caller gets the whole of a publisher DID; raises `ProtocolError` where it is not given.
    """

    def __init__(
        self,
        did: str,
        facts: DatasetFacts,
        identifiers: Identifiers,
        base_url: str,
        whole: Callable[[str], WholeImage],
    ) -> None:
        self._did = did
        self._facts = facts
        self._identifiers = identifiers
        self._base_url = base_url
        self._whole = whole
        access = facts.survey.access
        # What is made of several alerts is for those who may read each of them.
        open_to_all = (access.is_open_to_all(alert.dataset) for alert in facts.alerts)
        self._is_public = facts.is_whole and all(open_to_all)
        self._may_read = facts.is_whole

    def links(self) -> list[Link]:
        """All but those of the services that make something of it."""
        facts = self._facts
        named = facts.dataset.count("/") == 3
        stamps = f"{facts.kinds[0]} stamp{'s' if facts.is_object else ''}" if named else "stamps of each kind"
        if not facts.is_object:
            told = f"The {stamps}: {_told(facts.alerts[0])}"
            parts = [] if named else list(self._kinds())
            picture = self._picture(
                PNG, "A picture of it" if named else "A picture of its stamps side by side"
            )
            back = [] if not facts.alerts[0].object_id else [self._object(facts.alerts[0])]
            return [self._this(told), *parts, picture, *back]
        count, name = len(facts.alerts), facts.alerts[0].object_id
        open_to = "" if facts.is_whole else " that are open to you"
        told = f"The {stamps}, by time: {count} alert{'' if count == 1 else 's'} of {name}{open_to}"
        return [
            self._this(told),
            *([] if named else self._kinds()),
            self._picture(PNG, "A strip: a column an epoch"),
            self._picture(WEBP, "An animation: a frame an epoch"),
            *self._epochs(),
        ]

    def _this(self, told: str) -> Link:
        return self._of("#this", self._facts.dataset, told)

    def _kinds(self) -> Iterator[Link]:
        plural = "stamps" if self._facts.is_object else "stamp"
        for kind in self._facts.kinds:
            yield self._of("#auxiliary", f"{self._facts.dataset}/{kind}", f"The {kind} {plural} alone")

    def _of(self, semantics: str, dataset: str, told: str) -> Link:
        try:
            whole = self._whole(self._identifiers.did(dataset))
        except ProtocolError as fault:
            reason = f"{fault.fault_word}: {fault.sentence} {fault.fix}".rstrip()
            return Link(id=self._did, semantics=semantics, error_message=reason, description=told)
        return self._link(semantics, whole.path, whole.media_type, told, whole.size)

    def _picture(self, media_type: str, told: str) -> Link:
        path = (
            f"{_sync(self._identifiers.did(self._facts.dataset))}&RESPONSEFORMAT={quote(media_type, safe='')}"
        )
        return self._link("#preview", path, media_type, told)

    def _epochs(self) -> Iterator[Link]:
        access = self._facts.survey.access
        for alert in self._facts.alerts:
            path = _sync(self._identifiers.did(alert.dataset))
            link = self._link("#progenitor", path, FITS, f"The stamps of {_told(alert)}")
            yield replace(link, is_public=access.is_open_to_all(alert.dataset), authorized=True)

    def _object(self, alert: AlertRecord) -> Link:
        path = _sync(self._identifiers.did(f"{alert.survey}/object/{alert.object_id}"))
        link = self._link("#derivation", path, FITS, f"All alerts of {alert.object_id}")
        # Whether others of them are closed is not looked up.
        return replace(link, is_public=None, authorized=None) if self._facts.survey.access.datasets else link

    def _link(self, semantics: str, path: str, media_type: str, told: str, size: int | None = None) -> Link:
        return Link(
            id=self._did,
            semantics=semantics,
            access_url=f"{self._base_url}/{path}",
            description=told,
            content_type=media_type,
            content_length=size,
            content_qualifier="#image",
            is_public=self._is_public,
            authorized=self._may_read,
        )


def _sync(did: str) -> str:
    return f"sync?ID={quote(did, safe=':/?')}"


def _told(alert: AlertRecord) -> str:
    when = (_MJD_0 + timedelta(days=alert.mjd)).strftime("%Y-%m-%d %H:%M:%S")
    band = f", band {alert.band}" if alert.band else ""
    return f"alert {alert.candid} of {when} UTC{band}"
