"""A page about one HiPS: what it is, and how a viewer finds it. Nothing on it comes from elsewhere."""

from __future__ import annotations

from html import escape

from surveys.hips.geometry import ALLSKY_ORDER
from surveys.hips.properties import read_properties

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>{description}</p>
<p>This is a HiPS, a survey for sky viewers. Give its address to Aladin, Aladin Lite or ESASky:
<code>{url}</code></p>
<p>About it: <a href="{url}/properties">properties</a>, <a href="{url}/Moc.fits">coverage</a>,
<a href="{url}/Norder{order}/Allsky.png">the whole sky at a glance</a>.</p>
<p>{credit}</p>
</body>
</html>
"""


def page_of(properties: str) -> str:
    """Write the page from the properties of a HiPS."""
    told = {key: escape(value) for key, value in read_properties(properties).items()}
    return _PAGE.format(
        title=told["obs_title"],
        description=told.get("obs_description", ""),
        credit=told.get("obs_ack", ""),
        url=told["hips_service_url"],
        order=ALLSKY_ORDER,
    )
