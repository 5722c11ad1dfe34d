"""Every stamp of the real samples comes out as pyarrow and astropy read it, by each way out."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from tests.support.alerts import KINDS
from tests.surveys.alerts.shop import Shop, inflated, opened

SAMPLES = ("ztf", "raw", "rubin")


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_stamp_alone_is_the_stored_bytes(shops: dict[str, Shop], sample: str) -> None:
    shop = shops[sample]
    for candid, _, stamps in shop.rows:
        for kind, stored in stamps.items():
            assert stored is not None
            made = shop.make(f"alert/{candid}/{kind}")
            assert made.media_type == "application/fits"
            assert hashlib.sha256(made.tobytes()).digest() == hashlib.sha256(inflated(stored)).digest()
            assert made.gzip == (stored if stored.startswith(b"\x1f\x8b") else None)
            assert made.size == len(inflated(stored))


@pytest.mark.parametrize("sample", SAMPLES)
def test_all_stamps_of_an_alert_are_one_file_of_three_hdus(shops: dict[str, Shop], sample: str) -> None:
    shop = shops[sample]
    for candid, object_id, stamps in shop.rows:
        hdus = opened(shop.make(f"alert/{candid}").tobytes())
        assert [hdu.name for hdu in hdus] == ["SCIENCE", "TEMPLATE", "DIFFERENCE"]
        for hdu, kind in zip(hdus, KINDS, strict=True):
            stored = opened(inflated(stamps[kind] or b""))[0]
            assert np.array_equal(hdu.data, stored.data, equal_nan=True)
            assert hdu.data.dtype == stored.data.dtype
            assert (hdu.header["CANDID"], hdu.header.get("OBJECT", "")) == (candid, object_id)
            assert hdu.header["STAMP"] == kind
            assert hdu.header["BUNIT"] == stored.header["BUNIT"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_arrays_are_the_pixels_exactly(shops: dict[str, Shop], sample: str) -> None:
    shop = shops[sample]
    for candid, _, stamps in shop.rows[::3]:
        arrays = json.loads(shop.make(f"alert/{candid}", array=True).tobytes())
        assert list(arrays) == list(KINDS)
        for kind, rows in arrays.items():
            pixels = opened(inflated(stamps[kind] or b""))[0].data
            assert np.array_equal(np.array(rows, float), pixels, equal_nan=True)


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_object_is_all_its_epochs_in_order_of_time(shops: dict[str, Shop], sample: str) -> None:
    shop = shops[sample]
    stamps_of = {candid: stamps for candid, _, stamps in shop.rows}
    for object_id in {object_id for _, object_id, _ in shop.rows if object_id}:
        expected = {candid for candid, other, _ in shop.rows if other == object_id}
        hdus = opened(shop.make(f"object/{object_id.lower()}").tobytes())
        table = hdus["EPOCHS"].data
        assert set(table["candid"].tolist()) == expected
        assert (np.diff(table["mjd"]) >= 0).all()
        assert hdus[0].header["OBJECT"] == object_id
        assert len(hdus) == 2 + 3 * len(expected)
        for row in table:
            for kind in KINDS:
                hdu = hdus[kind.upper(), row["epoch"]]
                stored = opened(inflated(stamps_of[row["candid"]][kind] or b""))[0]
                assert np.array_equal(hdu.data, stored.data, equal_nan=True)
                assert hdu.header["MJD-OBS"] == pytest.approx(row["mjd"], abs=1e-9)
                assert (hdu.header["RA"], hdu.header["DEC"]) == (row["ra"], row["dec"])
                assert hdu.header["FILTER"] == row["band"]
