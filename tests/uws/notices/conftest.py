"""A house with accounts and a mail server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest
from sqlalchemy import select, update

from accounts.audit import Audit
from accounts.contacts import Contacts
from accounts.people import Identity, People
from config.settings import load_settings
from dali.caller import Caller
from dali.clock import NowMs
from dali.parameters import Parameters
from tests.support.mail import MailBox, mail_server
from tests.support.rights import RIGHTS
from tests.support.toy import toy_types
from tests.uws.conftest import House
from uws.job import Job
from uws.notices.desk import NoticeDesk
from uws.notices.post import PostOffice
from uws.notices.settings import NoticeSettings
from uws.service import JobService
from uws.store.notices import NoticeStore
from uws.tables import JobRow, NoticeRow

ADA = Caller("ldap:ada")
JOBS_URL = "https://cutouts.example.org/async"
SECRET = "0123456789abcdef0123456789abcdef"


@dataclass
class Bureau:
    """Whatever has to do with notices, in a house."""

    house: House
    box: MailBox
    settings: NoticeSettings

    @cached_property
    def people(self) -> People:
        people = People(self.house.engine, Audit(self.house.engine))
        people.seen(Identity("ldap", "ada", "Ada", "ada@example.org"))
        people.seen(Identity("ldap", "bob", "Bob"))
        return people

    @cached_property
    def contacts(self) -> Contacts:
        return Contacts(self.people)

    @cached_property
    def service(self) -> JobService:
        house = self.house
        desk = NoticeDesk(self.settings, self.contacts)
        return JobService(
            house.jobs,
            toy_types(),
            house.results,
            house.bell,
            house.waiting,
            house.settings,
            RIGHTS,
            desk=desk,
        )

    def office(self, **changes: Any) -> PostOffice:
        settings = replace(self.settings, **changes)
        store = NoticeStore(self.house.engine)
        return PostOffice(
            store,
            self.contacts,
            settings,
            JOBS_URL,
            lambda owner: f"https://example.org/u/{owner}/{64 * 'a'}",
        )

    def submit(self, *notify: str, caller: Caller = ADA, run_id: str = "", **parameters: object) -> Job:
        values = {name: (str(value),) for name, value in parameters.items()}
        return self.service.submissions.create(
            "toy", Parameters(values), caller, run=True, run_id=run_id, notify=notify
        )

    def tell(self) -> None:
        """Do what the reconciler does."""
        office = self.office()
        for _, step in office.steps():
            step()

    def pass_by(self, seconds: float) -> None:
        """Let notices and jobs grow older."""
        shift = int(seconds * 1000)
        with self.house.engine.execution_options(writes=True).begin() as connection:
            connection.execute(
                update(NoticeRow).values(
                    created_ms=NoticeRow.created_ms - shift, not_before_ms=NoticeRow.not_before_ms - shift
                )
            )
            connection.execute(
                update(JobRow).values(
                    created_ms=JobRow.created_ms - shift,
                    ended_ms=JobRow.ended_ms - shift,
                    destruction_ms=JobRow.destruction_ms - shift,
                )
            )

    def set_destruction(self, job: Job, in_s: float) -> None:
        with self.house.engine.execution_options(writes=True).begin() as connection:
            connection.execute(
                update(JobRow)
                .where(JobRow.job_id == job.job_id)
                .values(destruction_ms=NowMs() + int(in_s * 1000))
            )

    def notices(self, *columns: str) -> list[tuple[Any, ...]]:
        statement = select(*(getattr(NoticeRow, name) for name in columns)).order_by(NoticeRow.notice_id)
        with self.house.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    @property
    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.box.messages]


@pytest.fixture
def box() -> Iterator[MailBox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def notice_settings(box: MailBox) -> NoticeSettings:
    told = {
        "smtp_url": f"smtp://127.0.0.1:{box.port}",
        "sender": "cutouts@example.org",
        "webhook_hosts": (),
        "webhook_secret": SECRET,
    }
    return replace(load_settings({}).notices, **told)


@pytest.fixture
def bureau(house: House, box: MailBox, notice_settings: NoticeSettings) -> Bureau:
    return Bureau(house, box, notice_settings)


@pytest.fixture
def each_bureau(each_house: House, box: MailBox, notice_settings: NoticeSettings) -> Bureau:
    return Bureau(each_house, box, notice_settings)
