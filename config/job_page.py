"""The page of a job, put together."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint
from sqlalchemy import Engine

from config.jobs import JobParts
from dali.caller import Caller
from portal.job import views
from portal.job.shown import JobShow
from portal.pages import Pages
from soda.descriptor import ASYNC
from soda.heavier import JOB_TYPE
from uws.documents.teller import JobTeller
from uws.job import Job
from uws.packages.shop import PackageShop
from uws.store.everybody import Everybody


def make_job_page(
    engine: Engine, jobs: JobParts, shop: PackageShop, pages: Pages, base_url: Callable[[], str]
) -> Blueprint:
    """Make the page."""
    teller = JobTeller(jobs.service, JOB_TYPE, jobs.board, has_ledgers=True)

    def find(job_id: str, caller: Caller, link: str) -> Job:
        return jobs.service.find(job_id, caller, JOB_TYPE, "see", link)

    def list_url() -> str:
        return f"{base_url()}/{ASYNC.path}"

    show = JobShow(jobs.service, teller, shop, Everybody(engine))
    return views.make_blueprint(pages, show, shop, find, list_url, f"/{ASYNC.path}")
