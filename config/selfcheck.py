"""A first cutout of the demo survey through HTTP: proof that the service works, and something to look at.

Its alerts are there where Parquet can be read.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import click

from config.demo.recipe import DEMO, DEMO_OBJECT
from dali.xtypes import format_numbers

TIMEOUT_S = 30
BLOCK = 2880


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Asks the service at `url` for a cutout and saves it in `folder`; IDs begin with `base`."""

    url: str
    base: str
    folder: Path

    def __call__(self) -> None:
        """Do it, and say how it went."""
        asked = f"{self.url}/sync?ID={quote(f'{self.base}?{DEMO.dataset}', safe=':/?')}"
        asked += f"&CIRCLE={quote(format_numbers(DEMO.ra_deg, DEMO.dec_deg, DEMO.radius_deg))}"
        try:
            with urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310  # our own http URL
                content = answer.read()
        except OSError as error:
            logging.getLogger(__name__).error("self-check failed: %s", error)
            return
        if not content.startswith(b"SIMPLE  =") or len(content) % BLOCK:
            logging.getLogger(__name__).error("self-check failed: the answer is no FITS file")
            return
        saved = self.folder / "first-cutout.fits"
        saved.write_bytes(content)
        click.echo(
            f"Self-check: a cutout of {len(content)} bytes came from\n  {asked}\nand was saved as {saved}"
        )
        self._look_at_alerts()

    def _look_at_alerts(self) -> None:
        """Fetch the epochs of an object, where the demo has alerts."""
        asked = f"{self.url}/sync?ID={quote(f'{self.base}?{DEMO_OBJECT}', safe=':/?')}&RESPONSEFORMAT=webp"
        try:
            with urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310  # our own http URL
                content = answer.read()
        except OSError:
            return
        saved = self.folder / "first-object.webp"
        saved.write_bytes(content)
        click.echo(f"A supernova of its alerts, from\n  {asked}\nwas saved as {saved}")
