"""FITS files of stamps: headers, order, what is missing, and what is wrong. astropy is the judge."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS

from surveys.alerts.made import MOST_BYTES, Made
from surveys.errors import BrokenImage, StaleImage, TooLarge
from surveys.execute import describe_cutout, execute
from surveys.fits.source import Source
from surveys.plan import CutoutPlan
from surveys.planner import plan_cutout
from surveys.request import CutoutRequest, Interval
from surveys.survey import Survey
from tests.surveys.alerts.shop import (
    LIMITS,
    Shop,
    Stamps,
    inflated,
    opened,
    packed,
    shop_of,
    write_alerts,
    written,
)

RAMP = np.arange(12, dtype=np.float32).reshape(3, 4)


def of(tmp_path: Path, alerts: Sequence[Stamps], objects: Sequence[str] = (), **of_survey: object) -> Survey:
    """Survey of a lake of some alerts."""
    return replace(write_alerts(tmp_path / "lake", alerts, objects), **of_survey)


def test_a_full_header_says_who_where_and_when(ztf: Shop) -> None:
    candid, object_id, stamps = ztf.rows[7]
    alert = ztf.catalog.alerts.alert(ztf.survey, candid)
    made = ztf.make(f"ALERT/{candid}/difference", detail="full", canonical="sync?ID=x")
    assert made.file_name == f"ztf_{object_id}_{candid}_Difference.fits"
    (hdu,) = opened(made.tobytes())
    hdu.verify("exception")
    header = hdu.header
    assert np.array_equal(hdu.data, opened(inflated(stamps["Difference"] or b""))[0].data, equal_nan=True)
    assert (header["OBJECT"], header["CANDID"], header["FILTER"]) == (object_id, candid, alert.band)
    assert (header["RA"], header["DEC"], header["RADESYS"]) == (alert.ra_deg, alert.dec_deg, "ICRS")
    assert (header["STAMP"], header["EXTNAME"]) == ("Difference", "DIFFERENCE")
    assert header["ORIG_ID"].endswith(f"?ztf/alert/{candid}/Difference")
    assert (header["ORIG_FLE"], header["ORIG_ROW"]) == (alert.file.name, 8)
    assert header["CUT_URL"] == "sync?ID=x"
    assert header["TIMESYS"] == "UTC"
    moment = Time(header["DATE-OBS"], format="isot", scale="utc")
    assert header["MJD-OBS"] == alert.mjd
    assert moment.mjd == pytest.approx(alert.mjd, abs=1e-8)
    assert made.facts.covered == np.isfinite(hdu.data).mean() < 1.0


def test_what_has_no_wcs_is_given_none(tmp_path: Path) -> None:
    """Not even the parts of one that the survey would put right."""
    fix = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "GAIN": 6.2}
    with shop_of(of(tmp_path, [{"Science": packed(RAMP)}], fix=fix), tmp_path / "index") as shop:
        (hdu,) = opened(shop.make("alert/1/Science", detail="full").tobytes())
    assert hdu.header["GAIN"] == 6.2
    assert not [key for key in hdu.header if key.startswith(("CTYPE", "CRPIX", "CRVAL", "CD"))]
    assert not WCS(hdu.header).has_celestial


def test_a_wcs_that_lacks_something_is_put_right(rubin: Shop) -> None:
    """Rubin's stamps have no CTYPE; the alert lies where the middle of the stamp does."""
    for candid, _, _ in rubin.rows:
        alert = rubin.catalog.alerts.alert(rubin.survey, candid)
        hdu = opened(rubin.make(f"alert/{candid}/Science", detail="full").tobytes())[0]
        x, y = WCS(hdu.header).world_to_pixel_values(alert.ra_deg, alert.dec_deg)
        assert np.hypot(x - 14.5, y - 14.5) < 1.5
        assert hdu.header["EXTNAME"] == "SCIENCE"


def test_in_full_all_that_a_stamp_has_follows(rubin: Shop) -> None:
    candid, object_id, stamps = rubin.rows[1]
    stored = opened(stamps["Science"] or b"")
    hdus = opened(rubin.make(f"alert/{candid}/Science", detail="full").tobytes())
    assert [hdu.name for hdu in hdus] == ["SCIENCE", "UNCERT", "PSFIMAGE"]
    for hdu, other in zip(hdus, stored, strict=True):
        assert np.array_equal(hdu.data, other.data)
        assert hdu.data.dtype == other.data.dtype
    names = [hdu.name for hdu in opened(rubin.make(f"alert/{candid}", detail="full").tobytes())]
    assert names == [
        *("SCIENCE", "TEMPLATE", "DIFFERENCE"),
        *(
            f"{kind}_{what}"
            for kind in ("SCIENCE", "TEMPLATE", "DIFFERENCE")
            for what in ("UNCERT", "PSFIMAGE")
        ),
    ]
    epochs = opened(rubin.make(f"object/{object_id}/template", detail="full").tobytes())
    assert [(hdu.name, hdu.ver) for hdu in epochs][2:] == [
        ("TEMPLATE", 1),
        ("TEMPLATE_UNCERT", 1),
        ("TEMPLATE_PSFIMAGE", 1),
    ]
    psf = opened(stamps["Template"] or b"")["PSFIMAGE"].data
    assert np.array_equal(epochs["TEMPLATE_PSFIMAGE", 1].data, psf)


@pytest.mark.parametrize("dataset", ["alert/{candid}/Science", "alert/{candid}", "object/{object_id}"])
@pytest.mark.parametrize("detail", ["image", "full"])
def test_checksums_are_right(rubin: Shop, dataset: str, detail: str) -> None:
    candid, object_id, _ = rubin.rows[1]
    made = rubin.make(dataset.format(candid=candid, object_id=object_id), checksum=True, detail=detail)
    hdus = opened(made.tobytes(), checksum=True)
    for hdu in hdus:
        assert (hdu.verify_checksum(), hdu.verify_datasum()) == (1, 1)
    assert len(made.tobytes()) % 2880 == 0


def test_filters_choose_epochs(ztf: Shop) -> None:
    whole = opened(ztf.make("object/ZTF18aaqfhlj").tobytes())["EPOCHS"].data
    middle = float(whole["mjd"][1])
    later = ztf.make("object/ZTF18aaqfhlj", time_mjd=Interval(middle, np.inf))
    assert opened(later.tobytes())["EPOCHS"].data["candid"].tolist() == whole["candid"][1:].tolist()
    request = CutoutRequest("ztf/object/ZTF18aaqfhlj", filters=("i",))
    assert plan_cutout(request, ztf.catalog, LIMITS).is_empty


def test_one_kind_of_an_object(ztf: Shop) -> None:
    made = ztf.make("object/ZTF18aaqfhlj/TEMPLATE")
    assert made.file_name == "ztf_ZTF18aaqfhlj_Template.fits"
    names = [(hdu.name, hdu.ver) for hdu in opened(made.tobytes())]
    assert names == [("PRIMARY", 1), ("EPOCHS", 1), ("TEMPLATE", 1), ("TEMPLATE", 2), ("TEMPLATE", 3)]


def test_describing_opens_no_file(ztf: Shop, tmp_path: Path) -> None:
    survey = of(tmp_path, [{"Science": packed(RAMP)}])
    with shop_of(survey, tmp_path / "index") as shop:
        plan = plan_cutout(CutoutRequest("ztf/alert/1/Science"), shop.catalog, LIMITS)
        (path,) = (tmp_path / "lake").iterdir()
        path.unlink()
        assert describe_cutout(plan, shop.catalog).file_name == "ztf_ZTF18aaaaaaa_1_Science.fits"
        with pytest.raises((StaleImage, BrokenImage)) as gone:
            execute(plan, shop.catalog, Source())
        assert gone.value.dataset == "ztf/alert/1"
        assert "/" + tmp_path.name not in str(gone.value)


def test_a_plan_survives_json(ztf: Shop) -> None:
    plan = plan_cutout(CutoutRequest(f"ztf/alert/{ztf.rows[0][0]}", array=True), ztf.catalog, LIMITS)
    again = CutoutPlan.from_json(plan.to_json())
    assert again == plan
    first, second = (execute(one, ztf.catalog, Source()).tobytes() for one in (plan, again))
    assert first == second


def test_a_stamp_that_is_not_there_leaves_its_place_empty(tmp_path: Path) -> None:
    survey = of(tmp_path, [{"Science": packed(RAMP), "Template": None}])
    with shop_of(survey, tmp_path / "index") as shop:
        made = shop.make("alert/1")
        hdus = opened(made.tobytes())
        assert [hdu.name for hdu in hdus] == ["SCIENCE", "TEMPLATE", "DIFFERENCE"]
        assert np.array_equal(hdus["SCIENCE"].data, RAMP)
        assert hdus["TEMPLATE"].data is hdus["DIFFERENCE"].data is None
        assert hdus["TEMPLATE"].header["CANDID"] == 1
        assert set(made.facts.remarks) == {
            "There is no Template stamp of ztf/alert/1",
            "There is no Difference stamp of ztf/alert/1",
        }
        for kind in ("Template", "Difference"):
            with pytest.raises(
                BrokenImage, match=rf"^The {kind} stamp of ztf/alert/1 is not there\.$"
            ) as broken:
                shop.make(f"alert/1/{kind}")
            assert broken.value.dataset == "ztf/alert/1"


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "is empty"),
        (b"not at all", "is neither gzip nor FITS"),
        (packed(RAMP)[:-9], "is cut short: its gzip stream has no end"),
        (gzip.compress(bytes(17 << 20)), "inflates beyond 16 MB"),
    ],
)
def test_a_broken_stamp_fails_with_its_reason_and_others_do_not(
    tmp_path: Path, stored: bytes, reason: str
) -> None:
    survey = of(tmp_path, [{"Science": packed(RAMP)}, {"Science": stored}, {"Science": packed(RAMP + 1)}])
    with shop_of(survey, tmp_path / "index") as shop:
        for dataset in ("alert/2/Science", "alert/2", "object/ZTF18aaaaaaa", "object/ZTF18aaaaaaa/Science"):
            with pytest.raises(BrokenImage) as broken:
                shop.make(dataset)
            assert str(broken.value) == f"The Science stamp of ztf/alert/2 {reason}."
            assert broken.value.dataset == "ztf/alert/2"
        assert np.array_equal(opened(shop.make("alert/1/Science").tobytes())[0].data, RAMP)
        assert np.array_equal(opened(shop.make("alert/3/Science").tobytes())[0].data, RAMP + 1)


def test_a_file_of_something_else_than_an_image_goes_out_alone_but_not_with_others(tmp_path: Path) -> None:
    """What is stored is given; a picture or a file of images cannot be made of it."""
    table = fits.BinTableHDU(np.zeros(3, [("a", "f4")]))
    stored = gzip.compress(written(fits.PrimaryHDU(), table))
    with shop_of(of(tmp_path, [{"Science": stored}]), tmp_path / "index") as shop:
        assert shop.make("alert/1/Science").tobytes() == gzip.decompress(stored)
        with pytest.raises(BrokenImage, match="has no image of two axes"):
            shop.make("alert/1")


def test_cards_of_a_stamp_stay_and_those_of_the_alert_come_first(tmp_path: Path) -> None:
    cards = {"EXTNAME": "SCI", "RA": 1.0, "TIMESYS": "TAI", "GAIN": 2.5, "EQUINOX": 2000.0, "BLANK": 0}
    with shop_of(of(tmp_path, [{"Science": packed(RAMP, **cards)}]), tmp_path / "index") as shop:
        (hdu,) = opened(shop.make("alert/1/Science", detail="full").tobytes())
        header = hdu.header
        hdu.verify("exception")
        assert (header["EXTNAME"], header["O_EXTNM"], header["GAIN"]) == ("SCIENCE", "SCI", 2.5)
        assert header["RA"] == 150.0
        assert "RADESYS" not in header  # EQUINOX has said it, of the stamp's own coordinates
        assert "BLANK" not in header
        assert header["TIMESYS"] == "TAI"
        utc = Time(header["MJD-OBS"], format="mjd", scale="tai").utc
        assert utc.mjd == pytest.approx(shop.catalog.alerts.alert(shop.survey, 1).mjd, abs=1e-9)
        extension = opened(shop.make("object/ZTF18aaaaaaa/Science").tobytes())["SCIENCE", 1]
        assert (extension.header["EXTVER"], extension.header["O_EXTNM"]) == (1, "SCI")


def test_an_alert_of_no_object_is_named_by_its_number(tmp_path: Path) -> None:
    with shop_of(of(tmp_path, [{"Science": packed(RAMP)}], [""]), tmp_path / "index") as shop:
        made = shop.make("alert/1/Science", detail="full")
        assert made.file_name == "ztf_1_Science.fits"
        assert "OBJECT" not in opened(made.tobytes())[0].header


def test_a_name_of_a_file_is_safe(tmp_path: Path) -> None:
    with shop_of(of(tmp_path, [{"Science": packed(RAMP)}], ["a/../b é'"]), tmp_path / "index") as shop:
        assert shop.make("alert/1/Science").file_name == "ztf_a_.._b__1_Science.fits"


def test_a_product_of_too_many_bytes_is_refused_while_it_grows() -> None:
    made, half = Made(), bytes(MOST_BYTES // 2)
    made.write(half, half)
    with pytest.raises(TooLarge, match="choose epochs by TIME or FILTER"):
        made.write(b"more")
