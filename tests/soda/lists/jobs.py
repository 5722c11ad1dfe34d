"""Lists as clients send them to a service, and see what became of them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from flask.testing import FlaskClient
from lxml import etree

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"


@dataclass(frozen=True)
class Done:
    """A list that has ended."""

    client: FlaskClient
    path: str
    document: etree._Element

    @property
    def phase(self) -> str | None:
        return self.document.findtext(f"{UWS}phase")

    def get(self, path: str) -> bytes:
        answer = self.client.get(f"{self.path}/{path}", buffered=True)
        assert answer.status_code == 200, answer.text
        return bytes(answer.data)

    def rows(self, query: str = "") -> list[dict[str, str]]:
        """Rows of the ledger."""
        return list(csv.DictReader(io.StringIO(self.get(f"ledger?FORMAT=csv&{query}").decode())))


def submit(client: FlaskClient, table: str | bytes, name: str = "list.csv", **parameters: object) -> str:
    content = table.encode() if isinstance(table, str) else table
    sent = {"UPLOAD": "targets,param:t", "PHASE": "RUN", "SIZE": "20px", **parameters}
    answer = client.post("/async", data={**sent, "t": (io.BytesIO(content), name)})
    assert answer.status_code == 303, answer.text
    return urlsplit(answer.headers["Location"]).path


def done(client: FlaskClient, path: str) -> Done:
    for _ in range(20):
        document = etree.fromstring(client.get(f"{path}?WAIT=10").data)
        if document.findtext(f"{UWS}phase") not in ("QUEUED", "EXECUTING"):
            break
    return Done(client, path, document)


def run(client: FlaskClient, table: str | bytes, name: str = "list.csv", **parameters: object) -> Done:
    return done(client, submit(client, table, name, **parameters))


def by_sync(client: FlaskClient, **parameters: str) -> bytes:
    answer = client.get("/sync", query_string=urlencode(parameters))
    assert answer.status_code == 200, answer.text
    return bytes(answer.data)
