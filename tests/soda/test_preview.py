"""``/preview`` over HTTP: a picture of an image, and of nothing else."""

from __future__ import annotations

from io import BytesIO

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.support.service import did


def test_an_image_has_a_preview(client: FlaskClient) -> None:
    answer = client.get("/preview", query_string={"id": did("tiny/g/a")})
    assert answer.status_code == 200
    assert answer.content_type == "image/png"
    with Image.open(BytesIO(answer.data)) as picture:
        assert max(picture.size) <= 256
    again = client.get(
        "/preview", query_string={"ID": did("tiny/g/a")}, headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
    head = client.head("/preview", query_string={"ID": did("tiny/g/a")})
    assert (head.status_code, head.data) == (200, b"")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({}, 400, "UsageError: ID is missing"),
        ({"ID": did("tiny/g")}, 400, "UsageError: tiny/g is no image"),
        ({"ID": did("tiny/g/nowhere")}, 404, "UsageError: there is no image"),
        ({"ID": "ivo://elsewhere/x?tiny/g/a"}, 404, "UsageError: "),
        ({"ID": did("tiny/g/a"), "CIRCLE": "1 2 3"}, 400, "UsageError: CIRCLE is not a parameter"),
        ({"ID": [did("tiny/g/a"), did("tiny/g/b")]}, 400, "MultiValuedParamNotSupported: "),
    ],
)
def test_what_is_no_image_is_refused(
    query: dict[str, str | list[str]], status: int, words: str, client: FlaskClient
) -> None:
    answer = client.get("/preview", query_string=query)
    assert answer.status_code == status
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text.startswith(words)


def test_http_10_previews_are_only_read(client: FlaskClient) -> None:
    answer = client.post("/preview", data={"ID": did("tiny/g/a")})
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
