"""``/query`` over HTTP: what is found, and how the answer is written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree

from config.query import query_capability
from sia.obscore import FIELDS
from sia.params import PARAMETERS
from tests.support.outside import Validate, stilts
from tests.support.service import BASE, SIDE, TILES, did, make_service, pixels_of

V = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}
VOTABLE = "application/x-votable+xml"
LINKS = "application/x-votable+xml;content=datalink"

IMAGES = {f"tiny/{band}/{tile}" for band in "gr" for tile in TILES}
NIGHTS = {"nights/g/first", "nights/g/second"}
BANDS = ["tiny/g", "tiny/r"]

#: name, datatype, unit, UCD and utype of ObsCore 1.1, as its table of mandatory columns has them.
MANDATORY = """
dataproduct_type char - meta.code.class ObsDataset.dataProductType
calib_level int - meta.code;obs.calib ObsDataset.calibLevel
obs_collection char - meta.id DataID.collection
obs_id char - meta.id DataID.observationID
obs_publisher_did char - meta.ref.ivoid Curation.publisherDID
access_url char - meta.ref.url Access.reference
access_format char - meta.code.mime Access.format
access_estsize long kbyte phys.size;meta.file Access.size
target_name char - meta.id;src Target.name
s_ra double deg pos.eq.ra Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C1
s_dec double deg pos.eq.dec Char.SpatialAxis.Coverage.Location.Coord.Position2D.Value2.C2
s_fov double deg phys.angSize;instr.fov Char.SpatialAxis.Coverage.Bounds.Extent.diameter
s_region char - pos.outline;obs.field Char.SpatialAxis.Coverage.Support.Area
s_resolution double arcsec pos.angResolution Char.SpatialAxis.Resolution.Refval.value
s_xel1 long - meta.number Char.SpatialAxis.numBins1
s_xel2 long - meta.number Char.SpatialAxis.numBins2
t_min double d time.start;obs.exposure Char.TimeAxis.Coverage.Bounds.Limits.StartTime
t_max double d time.end;obs.exposure Char.TimeAxis.Coverage.Bounds.Limits.StopTime
t_exptime double s time.duration;obs.exposure Char.TimeAxis.Coverage.Support.Extent
t_resolution double s time.resolution Char.TimeAxis.Resolution.Refval.value
t_xel long - meta.number Char.TimeAxis.numBins
em_min double m em.wl;stat.min Char.SpectralAxis.Coverage.Bounds.Limits.LoLimit
em_max double m em.wl;stat.max Char.SpectralAxis.Coverage.Bounds.Limits.HiLimit
em_res_power double - spect.resolution Char.SpectralAxis.Resolution.ResolPower.refVal
em_xel long - meta.number Char.SpectralAxis.numBins
o_ucd char - meta.ucd Char.ObservableAxis.ucd
pol_states char - meta.code;phys.polarization Char.PolarizationAxis.stateList
pol_xel long - meta.number Char.PolarizationAxis.numBins
facility_name char - meta.id;instr.tel Provenance.ObsConfig.Facility.name
instrument_name char - meta.id;instr Provenance.ObsConfig.Instrument.name
"""


def get(client: FlaskClient, **parameters: Any) -> bytes:
    response = client.get("/query", query_string=parameters)
    assert response.status_code == 200, response.data
    assert response.content_type == VOTABLE
    return response.data


def table(content: bytes) -> Table:
    return parse(io.BytesIO(content), verify="exception").get_first_table().to_table()


def found(client: FlaskClient, **parameters: Any) -> list[str]:
    return [str(obs_id) for obs_id in table(get(client, **parameters))["obs_id"]]


def status(content: bytes) -> list[str | None]:
    infos = etree.fromstring(content).iterfind(".//v:INFO[@name='QUERY_STATUS']", V)
    return [info.get("value") for info in infos]


def asked(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def test_sia_04_everything_without_a_parameter_bands_first(client: FlaskClient) -> None:
    names = found(client)
    assert names[:2] == BANDS
    assert sorted(names[2:]) == sorted(IMAGES | NIGHTS)


def test_surveys_that_are_not_public_are_left_out(client: FlaskClient) -> None:
    content = get(client)
    assert b"secret" not in content.lower()
    assert found(client, ID=did("secret/g/a")) == []
    assert found(client, COLLECTION="Secret") == []


def test_http_01_names_in_any_case_http_02_values_as_they_are(client: FlaskClient) -> None:
    assert found(client, pOs="CIRCLE 150 0 0.001", Collection="Tiny")[:2] == BANDS
    assert found(client, COLLECTION="tiny") == []


def test_http_03_post_in_both_encodings(client: FlaskClient) -> None:
    wanted = found(client, POS="CIRCLE 150 0 0.001", BAND="5e-7")
    data = {"POS": "CIRCLE 150 0 0.001", "BAND": "5e-7"}
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        response = client.post("/query", data=data, content_type=kind)
        assert [str(one) for one in table(response.data)["obs_id"]] == wanted


def test_http_08_http_09_http_10_slashes_children_and_methods(client: FlaskClient) -> None:
    assert client.get("/query/?MAXREC=1").status_code == 200
    assert client.get("/query/capabilities").status_code == 404
    assert client.get("/query/availability").status_code == 404
    refused = client.delete("/query")
    assert refused.status_code == 405
    assert {"GET", "HEAD", "POST"} <= set(refused.headers["Allow"].split(", "))


def test_http_12_scripts_of_other_sites_may_read_it(client: FlaskClient) -> None:
    for query in ("POS=CIRCLE 150 0 0.1", "POS=wrong"):
        response = client.get(f"/query?{query}", headers={"Origin": "https://elsewhere.example"})
        assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_http_15_head_has_the_headers_and_no_body(client: FlaskClient) -> None:
    response = client.head("/query?POS=CIRCLE 150 0 0.1")
    assert (response.status_code, response.data, response.content_type) == (200, b"", VOTABLE)
    assert client.head("/query?POS=wrong").status_code == 400


def test_sia_05_positions(client: FlaskClient) -> None:
    near = ["tiny/g", "tiny/r", "nights/g/first", "nights/g/second", "tiny/g/a", "tiny/r/a"]
    assert sorted(found(client, POS="CIRCLE 150 0 0.01")) == sorted(near)
    # the images are 200 arcsec wide: the field, and not its centre, has to meet the position
    assert sorted(found(client, POS="CIRCLE 149.96 0 0.013")) == sorted(near)
    assert found(client, POS="CIRCLE 149.96 0 0.011") == []
    assert found(client, POS="CIRCLE 10 10 1") == []
    assert set(found(client, POS="POLYGON 149.9 -0.1 150.1 -0.1 150.0 0.1")) >= {"tiny/g/a", "tiny/g/b"}
    assert len(found(client, POS="RANGE -Inf +Inf -Inf +Inf")) == len(BANDS) + len(IMAGES) + len(NIGHTS)


@pytest.mark.parametrize(
    "position", ["CIRCLE 359.99 -10 0.02", "RANGE 359.9 0.1 -10.1 -9.9", "CIRCLE 0 -10 0"]
)
def test_sia_05_across_ra_0(client: FlaskClient, position: str) -> None:
    assert sorted(found(client, POS=position)) == ["tiny/g", "tiny/g/zero", "tiny/r", "tiny/r/zero"]


@pytest.mark.parametrize(
    "position", ["CIRCLE 77 90 0.001", "RANGE 0 360 89.99 90", "RANGE 10 +Inf 89.99 +Inf"]
)
def test_sia_05_at_the_pole(client: FlaskClient, position: str) -> None:
    assert sorted(found(client, POS=position)) == ["tiny/g", "tiny/g/pole", "tiny/r", "tiny/r/pole"]


def test_sia_06_a_circle_of_radius_0_is_a_point(client: FlaskClient) -> None:
    rows = table(get(client, POS="CIRCLE 150 0 0", COLLECTION="Tiny"))
    assert list(rows["obs_id"]) == [*BANDS, "tiny/g/a", "tiny/r/a"]
    # SODA takes no such circle: the bands have their links
    assert set(rows["access_format"]) == {LINKS}


def test_sia_02_values_are_alternatives_and_parameters_add_up(client: FlaskClient) -> None:
    both = ["CIRCLE 0 -10 0.01", "CIRCLE 0 90 0.01"]
    assert set(found(client, POS=both, BAND="5e-7")) == {"tiny/g", "tiny/g/zero", "tiny/g/pole"}
    assert found(client, POS=both, BAND=["5e-7", "6e-7"])[:2] == BANDS
    assert found(client, POS=both, BAND="9e-7") == []


def test_sia_07_band_and_time(client: FlaskClient) -> None:
    assert (
        set(found(client, BAND="5.5e-7 5.59e-7"))
        == {name for name in IMAGES if "/g/" in name} | {"tiny/g"} | NIGHTS
    )
    assert found(client, TIME="59000") == ["nights/g/first"]
    assert found(client, TIME=["59000.005 59000.006", "59001 +Inf"]) == sorted(NIGHTS)
    assert found(client, TIME="-Inf 58000") == []


def test_sia_08_ranges(client: FlaskClient) -> None:
    assert set(found(client, EXPTIME="864")) == NIGHTS
    assert found(client, EXPTIME="0 100") == []
    assert set(found(client, FOV="0.078 0.079")) == IMAGES | NIGHTS
    assert found(client, FOV="180 +Inf") == BANDS


@pytest.mark.parametrize("name", ["SPATRES", "SPECRP", "TIMERES", "TARGET"])
def test_sia_03_what_nobody_knows_satisfies_no_constraint(client: FlaskClient, name: str) -> None:
    assert found(client, **{name: "1"}) == []
    if name != "TARGET":
        assert found(client, **{name: "-Inf +Inf"}) == []


def test_sia_09_pol_is_a_whole_state(client: FlaskClient) -> None:
    assert set(found(client, POL="I")) == {*BANDS, *IMAGES}
    assert found(client, POL="V") == []
    assert set(found(client, POL=["V", "I"])) == {*BANDS, *IMAGES}


def test_sia_10_id_in_any_case_and_of_former_bases(client: FlaskClient) -> None:
    assert found(client, ID=did("tiny/g/a")) == ["tiny/g/a"]
    assert found(client, ID=did("TINY/g/A").upper()) == ["tiny/g/a"]
    assert found(client, ID="ivo://unregistered.invalid/soda-fountain?tiny/r") == ["tiny/r"]
    assert found(client, ID=[did("tiny/g"), did("tiny/g/b")]) == ["tiny/g", "tiny/g/b"]
    for unknown in (did("tiny"), did("tiny/g/none"), "ivo://elsewhere/x?tiny/g", "x", did("")):
        assert found(client, ID=unknown) == []


def test_sia_11_names_are_exact(client: FlaskClient) -> None:
    assert set(found(client, COLLECTION="Nights")) == NIGHTS
    assert set(found(client, COLLECTION=["Nights", "Tiny"])) == {*BANDS, *IMAGES, *NIGHTS}
    for name in ("FACILITY", "INSTRUMENT", "COLLECTION"):
        assert found(client, **{name: "No such one"}) == []


def test_sia_12_dptype(client: FlaskClient) -> None:
    assert len(found(client, DPTYPE="image")) == 12
    assert found(client, DPTYPE="cube") == []
    assert found(client, DPTYPE="spectrum") == []
    assert found(client, DPTYPE="IMAGE") == []


def test_sia_13_calib(client: FlaskClient) -> None:
    assert set(found(client, CALIB="2")) == NIGHTS
    assert len(found(client, CALIB=["2", "3"])) == 12
    assert found(client, CALIB="0") == []


def test_sia_14_format_is_that_of_access_url(client: FlaskClient) -> None:
    here = {"POS": "CIRCLE 150 0 0.001", "COLLECTION": "Tiny"}
    assert [str(one) for one in table(get(client, **here))["access_format"]] == ["application/fits"] * 2 + [
        LINKS
    ] * 2
    assert found(client, FORMAT=LINKS, **here) == [*BANDS, "tiny/g/a", "tiny/r/a"]
    assert found(client, FORMAT="image/png", **here) == []
    assert found(client, FORMAT=["image/png", LINKS.replace(";", "; ")], **here)[2:] == [
        "tiny/g/a",
        "tiny/r/a",
    ]


def test_sia_14_fits_leads_to_the_pixels(tmp_path: Path) -> None:
    client = make_service(tmp_path, {"FOUNTAIN_SYNC__MAX_PIXELS": "40000"}).test_client()
    for media_type in ("image/fits", "application/fits"):
        rows = table(get(client, FORMAT=media_type, COLLECTION="Tiny", POS="CIRCLE 150 0 0.001"))
        assert list(rows["obs_id"]) == [*BANDS, "tiny/g/a", "tiny/r/a"]
        for row in rows:
            assert row["access_format"] == media_type
            response = client.get(row["access_url"])
            assert response.content_type == media_type
            with fits.open(io.BytesIO(response.data)) as hdus:
                pixels = hdus[0].data
            parts = str(row["obs_id"]).split("/")
            whole = pixels_of("a", parts[1])
            if len(parts) == 3:
                assert np.array_equal(pixels, whole)
            else:
                assert pixels.size < 100
                assert np.isin(pixels, whole).all()


def test_sia_14_what_sync_refuses_is_not_offered_as_fits(client: FlaskClient) -> None:
    # an image has 40000 pixels here, and 30000 are allowed
    assert found(client, FORMAT="image/fits", POS="CIRCLE 150 0 0.001") == BANDS
    assert found(client, FORMAT="image/fits") == []
    wide = table(get(client, POS="CIRCLE 150 0 0.03", COLLECTION="Tiny"))
    assert set(wide["access_format"]) == {LINKS}


def test_a_band_is_cut_at_once_where_there_is_one_position(client: FlaskClient) -> None:
    rows = table(get(client, POS="circle  150 0 0.001", COLLECTION="Tiny"))
    first = rows[0]
    assert asked(first["access_url"]) == {"ID": [did("tiny/g")], "POS": ["circle  150 0 0.001"]}
    assert urlsplit(first["access_url"]).path == "/sync"
    assert client.get(first["access_url"]).status_code == 200
    several = table(get(client, POS=["CIRCLE 150 0 0.001", "CIRCLE 0 90 0.001"], COLLECTION="Tiny"))
    assert set(several["access_format"]) == {LINKS}


def test_sia_18_links_are_links(client: FlaskClient) -> None:
    for row in table(get(client, COLLECTION="Tiny")):
        assert row["access_format"] == LINKS
        assert asked(row["access_url"]) == {"ID": [row["obs_publisher_did"]]}
        answer = client.get(row["access_url"])
        assert (answer.status_code, answer.content_type) == (200, LINKS)


def test_sia_16_mandatory_columns(client: FlaskClient) -> None:
    root = etree.fromstring(get(client, MAXREC=1))
    fields = {field.get("name"): field for field in root.iterfind(".//v:FIELD", V)}
    lines = [line.split() for line in MANDATORY.split("\n") if line]
    assert len(lines) == 30
    for name, datatype, unit, ucd, utype in lines:
        field = fields[name]
        assert field.get("datatype") == datatype
        assert field.get("arraysize") == ("*" if datatype == "char" else None)
        assert field.get("unit") == (None if unit == "-" else unit)
        assert (field.get("ucd"), field.get("utype")) == (ucd, f"obscore:{utype}")
    assert [field.get("name") for field in fields.values()] == [field.name for field in FIELDS]


def test_oc_03_dali_11_further_columns_are_those_of_the_model(client: FlaskClient) -> None:
    root = etree.fromstring(get(client, MAXREC=1))
    fields = {field.get("name"): field for field in root.iterfind(".//v:FIELD", V)}
    further = {"dataproduct_subtype", "obs_title", "obs_release_date", "data_rights", "s_pixel_scale"}
    assert further | {"bib_reference"} == fields.keys() - {
        row.split()[0] for row in MANDATORY.split("\n") if row
    }
    released = fields["obs_release_date"]
    assert (released.get("datatype"), released.get("xtype")) == ("char", "timestamp")


def test_oc_02_oc_04_rows_are_whole_and_in_order(client: FlaskClient) -> None:
    rows = table(get(client))
    for name in ("calib_level", "obs_collection", "obs_id", "obs_publisher_did"):
        column = rows[name]
        assert not np.any(getattr(column, "mask", False)), name
        assert all(str(value) for value in column)
    assert len(set(rows["obs_publisher_did"])) == len(rows)
    assert np.all((rows["s_ra"] >= 0) & (rows["s_ra"] < 360))
    assert np.all(rows["em_min"] <= rows["em_max"])
    known = ~rows["t_min"].mask
    assert np.all(rows["t_min"][known] <= rows["t_max"][known])


def test_oc_05_s_region_is_stc_s(client: FlaskClient) -> None:
    root = etree.fromstring(get(client, MAXREC=1))
    field = root.find(".//v:FIELD[@name='s_region']", V)
    assert (field.get("datatype"), field.get("arraysize"), field.get("xtype")) == ("char", "*", "adql:REGION")
    for row in table(get(client)):
        shape, frame, *numbers = str(row["s_region"]).split()
        assert shape in ("POLYGON", "CIRCLE")
        assert frame == "ICRS"
        assert len(numbers) == 3 if shape == "CIRCLE" else len(numbers) >= 6


def test_oc_06_an_image_and_a_band_say_what_they_are(client: FlaskClient) -> None:
    rows = {row["obs_id"]: row for row in table(get(client))}
    image, band, night = rows["tiny/g/a"], rows["tiny/g"], rows["nights/g/first"]
    assert (image["s_xel1"], image["s_xel2"], image["em_xel"], image["t_xel"]) == (SIDE, SIDE, 1, 1)
    assert image["access_estsize"] == SIDE * SIDE * 4 / 1000
    assert (image["pol_states"], image["pol_xel"]) == ("/I/", 1)
    assert (night["pol_states"], night["pol_xel"]) == ("", 0)
    assert (night["t_min"], night["t_exptime"], night["calib_level"]) == (59000.0, 864.0, 2)
    assert band["dataproduct_subtype"] == "survey"
    assert (band["dataproduct_type"], band["calib_level"]) == ("image", 3)
    for name in ("s_xel1", "s_xel2", "t_min", "t_max", "t_exptime", "access_estsize"):
        assert band[name] is np.ma.masked
    assert image["s_pixel_scale"] == pytest.approx(1.0)
    assert image["data_rights"] == "public"


def test_sia_17_descriptors_in_every_answer(client: FlaskClient) -> None:
    for query in ({}, {"MAXREC": 0}, {"POS": "CIRCLE 10 10 0.1"}):
        root = etree.fromstring(get(client, **query))
        services = {
            resource.find("v:PARAM[@name='standardID']", V).get("value"): resource
            for resource in root.iterfind("v:RESOURCE[@type='meta']", V)
        }
        field = root.find(".//v:FIELD[@name='obs_publisher_did']", V)
        told = {"DataLink#links-1.1": "links", "SODA#sync-1.0": "sync", "SODA#async-1.0": "async"}
        for standard, path in told.items():
            service = services[f"ivo://ivoa.net/std/{standard}"]
            assert service.get("utype") == "adhoc:service"
            assert service.find("v:PARAM[@name='accessURL']", V).get("value") == f"http://localhost/{path}"
            identifier = service.find("v:GROUP/v:PARAM[@name='ID']", V)
            assert (identifier.get("ref"), identifier.get("value")) == (field.get("ID"), "")
            assert identifier.find("v:VALUES", V) is None
        ids = [one.get("ID") for one in root.iter() if one.get("ID")]
        assert len(ids) == len(set(ids))
        assert {one.get("ref") for one in root.iter() if one.get("ref")} <= set(ids)


def test_sia_19_sia_20_sia_21_the_query_describes_itself(client: FlaskClient) -> None:
    root = etree.fromstring(get(client, MAXREC=0))
    (own,) = root.findall("v:RESOURCE[@utype='adhoc:this']", V)
    params = own.findall("v:GROUP/v:PARAM", V)
    assert [param.get("name") for param in params] == [parameter.name for parameter in PARAMETERS]
    assert all(param.get("value") == "" for param in params)
    options = {
        param.get("name"): [option.get("value") for option in param.iterfind("v:VALUES/v:OPTION", V)]
        for param in params
    }
    assert options["COLLECTION"] == ["Nights", "Tiny"]
    assert options["DPTYPE"] == ["image", "cube"]
    assert options["CALIB"] == ["2", "3"]
    assert options["FORMAT"] == [LINKS, "application/fits", "image/fits"]
    assert options["POL"] == ["I"]
    interval = own.find("v:GROUP/v:PARAM[@name='BAND']", V)
    assert (interval.get("arraysize"), interval.get("xtype"), interval.get("unit")) == ("2", "interval", "m")


def test_sia_22_capability() -> None:
    capability = query_capability()
    assert capability.standard_id == "ivo://ivoa.net/std/SIA#query-2.0"
    (interface,) = capability.interfaces
    assert (interface.path, interface.use, interface.version) == ("query", "base", "2.0")


def test_sia_22_cap_13_it_is_declared_and_answers(client: FlaskClient, validate: Validate) -> None:
    document = client.get("/capabilities").data
    assert validate(document) == []
    assert b"ivo://ivoa.net/std/SIA#query-2.0" in document
    assert client.get("/query").status_code == 200


def test_vot_12_vot_13_systems_and_standard(client: FlaskClient) -> None:
    root = etree.fromstring(get(client, MAXREC=1))
    sky, clock = root.find(".//v:COOSYS", V), root.find(".//v:TIMESYS", V)
    assert sky.get("system") == "ICRS"
    assert (clock.get("timescale"), clock.get("timeorigin")) == ("UTC", "MJD-origin")
    refs = {field.get("name"): field.get("ref") for field in root.iterfind(".//v:FIELD", V)}
    assert refs["s_ra"] == refs["s_dec"] == refs["s_region"] == sky.get("ID")
    assert refs["t_min"] == refs["t_max"] == clock.get("ID")
    assert root.find(".//v:INFO[@name='standardID']", V).get("value") == "ivo://ivoa.net/std/SIA"


@pytest.mark.parametrize(
    ("limit", "rows", "ending"), [(0, 0, 1), (1, 1, 1), (11, 11, 1), (12, 12, 0), (10**9, 12, 0)]
)
def test_dali_05_dali_06_maxrec(client: FlaskClient, limit: int, rows: int, ending: int) -> None:
    content = get(client, MAXREC=limit)
    assert len(table(content)) == rows
    assert status(content) == ["OK", *["OVERFLOW"] * ending]


def test_dali_05_the_service_has_limits_of_its_own(tmp_path: Path) -> None:
    environ = {"FOUNTAIN_SIA__DEFAULT_ROWS": "3", "FOUNTAIN_SIA__MAX_ROWS": "5"}
    client = make_service(tmp_path, environ).test_client()
    for query, rows in (({}, 3), ({"MAXREC": 4}, 4), ({"MAXREC": 100}, 5)):
        content = get(client, **query)
        assert len(table(content)) == rows
        assert status(content)[-1] == "OVERFLOW"


@pytest.mark.parametrize(
    ("asked_for", "media_type"),
    [
        ("votable", VOTABLE),
        (VOTABLE, VOTABLE),
        ("text/xml", "text/xml"),
        ("TEXT/XML", "text/xml"),
        ("application/x-votable+xml;serialization=tabledata", VOTABLE),
    ],
)
def test_sia_23_dali_02_dali_03_http_16_votables(
    client: FlaskClient, asked_for: str, media_type: str
) -> None:
    response = client.get("/query", query_string={"RESPONSEFORMAT": asked_for})
    assert response.content_type == media_type
    assert len(table(response.data)) == 12


def test_dali_02_csv(client: FlaskClient) -> None:
    for name in ("csv", "text/csv"):
        response = client.get("/query", query_string={"RESPONSEFORMAT": name})
        assert response.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
        assert [row["obs_id"] for row in rows] == found(client)
        assert rows[0]["t_min"] == ""


def test_dali_02_json(client: FlaskClient) -> None:
    response = client.get("/query", query_string={"RESPONSEFORMAT": "json", "MAXREC": 3})
    assert response.content_type == "application/json"
    content = json.loads(response.data)
    assert [row[3] for row in content["rows"]] == found(client, MAXREC=3)
    assert content["status"] == "OVERFLOW"
    assert len(content["fields"]) == len(FIELDS)


def test_dali_08_dali_10_parameters_without_effect(client: FlaskClient) -> None:
    assert len(found(client, REQUEST="query", VERSION="2.0", RUNID="me")) == 12


def test_sia_16_answers_are_valid_and_lint_free(
    client: FlaskClient, validate: Validate, tmp_path: Path
) -> None:
    queries: Iterator[dict[str, Any]] = iter(
        ({}, {"MAXREC": 0}, {"POS": "CIRCLE 150 0 0.001"}, {"MAXREC": 2}, {"POS": "CIRCLE 10 10 1"})
    )
    for query in queries:
        assert validate(get(client, **query)) == []
    path = tmp_path / "answer.xml"
    path.write_bytes(get(client, MAXREC=5))
    assert stilts("votlint", votable=str(path)) == []


def test_the_base_of_the_service_is_in_every_url(client: FlaskClient, app: Flask) -> None:
    rows = table(client.get("/query", base_url="https://example.org/soda").data)
    assert all(str(url).startswith("https://example.org/soda/") for url in rows["access_url"])
    assert all(str(one).startswith(f"{BASE}?") for one in rows["obs_publisher_did"])
