"""An object store that speaks S3, on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import requests
from botocore.config import Config
from moto.server import ThreadedMotoServer

BUCKET = "results"
_KEY = "key-of-the-tests"
_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running store: the URL of a prefix, the options of fsspec for it, a client that looks inside."""

    url: str
    options: dict[str, Any]
    endpoint: str
    client: Any

    def names(self) -> list[str]:
        """Names of all objects."""
        listed = self.client.list_objects_v2(Bucket=BUCKET)
        return sorted(found["Key"] for found in listed.get("Contents", ()))


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Run a store with one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        # All stores of a process have the same objects, those of earlier ones too.
        requests.post(f"{endpoint}/moto-api/reset", timeout=30).raise_for_status()
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=_REGION,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_KEY,
            config=Config(s3={"addressing_style": "path"}),
        )
        client.create_bucket(Bucket=BUCKET)
        options = {
            "key": _KEY,
            "secret": _KEY,
            "endpoint_url": endpoint,
            "client_kwargs": {"region_name": _REGION},
        }
        try:
            yield ObjectStore(f"s3://{BUCKET}/fountain", options, endpoint, client)
        finally:
            client.close()
    finally:
        server.stop()
