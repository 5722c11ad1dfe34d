"""Mail about jobs, to a real server."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from accounts.people import Identity
from tests.support.certificates import make_certificate
from tests.support.mail import mail_server
from tests.uws.notices.conftest import JOBS_URL, Bureau
from uws.notices.mail import MailServer, address_of
from uws.phase import Phase
from uws.store.notices import NoticeCounts, NoticeStore


def test_a_job_that_is_done_is_told_once(each_bureau: Bureau) -> None:
    bureau = each_bureau
    job = bureau.submit("mail", run_id="M31 é", DO="ok,empty,fail,ok", ROWS=4)
    bureau.tell()
    assert bureau.box.messages == [], "it runs"
    bureau.house.work()
    for _ in range(3):
        bureau.tell()
    (message,) = bureau.box.messages
    assert (message["To"], message["From"]) == ("ada@example.org", "cutouts@example.org")
    assert message["Subject"] == "Your cutouts are ready: M31 é"
    text = message.get_content()
    assert "4: 2 made, 1 without data, 1 failed" in text
    assert "Size    32 bytes" in text
    assert f"{JOBS_URL}/{job.job_id}" in text.splitlines()[-4]
    assert "Kept    until 20" in text
    link = f"List-Unsubscribe: <https://example.org/u/ldap:ada/{64 * 'a'}>"
    assert link.encode() in bureau.box.lines, "on one line, and not encoded: mail programs read it"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Auto-Submitted"] == "auto-generated"
    assert job.job_id in message["Message-ID"]
    assert NoticeStore(bureau.house.engine).counts() == NoticeCounts(0, 1, 0)


def test_jobs_that_fail_are_told_and_those_that_were_aborted_by_their_owners_are_not(bureau: Bureau) -> None:
    failed, aborted = bureau.submit("mail", DO="fail"), bureau.submit("mail", DO="ok", run_id="mine")
    late = bureau.submit("mail", DO="ok", run_id="late")
    wrong = bureau.submit("mail", DO="nonsense", run_id="wrong")
    bureau.service.abort(aborted)
    assert bureau.house.jobs.end(late.job_id, Phase.ABORTED, failed.error or wrong.error)
    bureau.house.work()
    bureau.tell()
    assert sorted(bureau.subjects) == sorted(
        [f"A job has failed: {failed.job_id}", "A job has failed: late", "A job has failed: wrong"]
    )
    assert "Reason  UsageError: DO is one of" in bureau.box.messages[0].get_content()


def test_what_expires_is_told_before_and_after(bureau: Bureau) -> None:
    bureau.settings = replace(bureau.settings, expiring_s=3600)
    kept, deleted = bureau.submit("mail", DO="ok"), bureau.submit("mail", DO="ok")
    bureau.house.work()
    bureau.tell()
    bureau.box.messages.clear()
    bureau.pass_by(7200)
    bureau.set_destruction(kept, 7100)
    bureau.tell()
    assert bureau.subjects == []
    bureau.set_destruction(kept, 3500)
    for _ in range(2):
        bureau.tell()
    assert bureau.subjects == [f"Your cutouts expire soon: {kept.job_id}"]
    bureau.set_destruction(kept, 3599)
    bureau.tell()
    bureau.service.destroy(deleted)
    bureau.set_destruction(kept, -1)
    assert [job_id for job_id, _ in bureau.house.upkeep.destroy_due()] == [kept.job_id]
    for _ in range(2):
        bureau.tell()
    assert bureau.subjects[1:] == [f"Your cutouts have expired: {kept.job_id}"], "what was deleted is known"
    assert JOBS_URL not in bureau.box.messages[1].get_content()


def test_what_is_kept_for_a_short_time_is_not_told_to_expire(bureau: Bureau) -> None:
    job = bureau.submit("mail")
    bureau.house.work()
    bureau.set_destruction(job, 60)
    bureau.tell()
    assert bureau.subjects == [f"Your cutouts are ready: {job.job_id}"]


def test_accounts_are_told_of_every_job_if_they_wish_and_of_no_other_event(bureau: Bureau) -> None:
    bureau.contacts.keep("ldap:ada", {"failed"})
    bureau.submit(DO="ok")
    bad = bureau.submit(DO="fail")
    bureau.submit("none", DO="fail")
    bureau.house.work()
    for _ in range(2):
        bureau.tell()
    assert bureau.subjects == [f"A job has failed: {bad.job_id}"]


def test_whoever_has_stopped_mail_gets_none_that_was_asked_for_before(bureau: Bureau) -> None:
    bureau.submit("mail")
    assert bureau.contacts.stop("ldap:ada")
    bureau.house.work()
    bureau.tell()
    assert bureau.box.messages == []
    assert bureau.notices("note") == [("no mail is sent, or wanted",)]


def test_a_server_that_takes_nothing_now_is_asked_again_for_a_day(each_bureau: Bureau) -> None:
    bureau = each_bureau
    bureau.submit("mail")
    bureau.house.work()
    bureau.box.at_recipient = "451 busy"
    bureau.tell()
    bureau.tell()
    assert bureau.notices("attempts") == [(1,)], "not at once"
    bureau.pass_by(31)
    bureau.tell()
    bureau.box.at_recipient, bureau.box.at_data = "", "452 full"
    bureau.pass_by(61)
    bureau.tell()
    assert bureau.notices("attempts", "sent_ms", "note") == [(3, None, "the mail server says 452 full")]
    bureau.box.at_data = ""
    bureau.pass_by(121)
    bureau.tell()
    assert len(bureau.box.messages) == 1
    assert [sent for (sent,) in bureau.notices("sent_ms")] != [None]


def test_a_server_that_is_away_for_a_day_is_given_up(bureau: Bureau) -> None:
    bureau.submit("mail")
    bureau.house.work()
    away = bureau.office(smtp_url="smtp://127.0.0.1:1")
    away.collect()
    away.deliver()
    bureau.pass_by(86_390)
    away.deliver()
    assert NoticeStore(bureau.house.engine).counts() == NoticeCounts(0, 0, 1)
    bureau.pass_by(8000)
    bureau.tell()
    assert bureau.box.messages == []


@pytest.mark.parametrize("where", ["at_recipient", "at_data"])
def test_a_message_that_is_refused_for_good_is_not_sent_again(where: str, bureau: Bureau) -> None:
    setattr(bureau.box, where, "550 nobody of this name")
    bureau.submit("mail")
    bureau.house.work()
    bureau.tell()
    assert bureau.notices("attempts", "note") == [(1, "the mail server says 550 nobody of this name")]
    assert NoticeStore(bureau.house.engine).counts() == NoticeCounts(0, 0, 1)


def test_a_mail_whose_sender_died_while_handing_it_over_is_not_sent_twice(bureau: Bureau) -> None:
    bureau.submit("mail")
    bureau.house.work()
    bureau.office().collect()
    store = NoticeStore(bureau.house.engine)
    notice = store.take(180)
    assert notice is not None
    store.handing(notice)
    bureau.tell()
    assert bureau.notices("given_up_ms") == [(None,)], "its lease holds"
    bureau.pass_by(181)
    bureau.tell()
    assert bureau.box.messages == []
    assert NoticeStore(bureau.house.engine).counts() == NoticeCounts(0, 0, 1)


def test_several_reconcilers_send_each_mail_once(each_bureau: Bureau) -> None:
    bureau = each_bureau
    for _ in range(12):
        bureau.submit("mail")
    bureau.house.work()
    with ThreadPoolExecutor(4) as threads:
        for tell in [threads.submit(bureau.tell) for _ in range(4)]:
            tell.result()
    bureau.tell()
    assert len(bureau.subjects) == len(set(bureau.subjects)) == 12


def test_a_password_goes_to_a_server_that_has_proved_who_it_is(
    bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    bureau.submit("mail")
    bureau.house.work()
    with mail_server(context, offers_login=True) as box:
        office = bureau.office(smtp_url=f"smtp+starttls://us:s%3Acret@localhost:{box.port}")
        office.collect()
        office.deliver()
        assert box.logins == [], "its certificate is of nobody known"
        assert "SSLCertVerificationError" in bureau.notices("note")[0][0]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        bureau.pass_by(31)
        office.deliver()
        assert box.logins == [("us", "s:cret", True)]
        assert len(box.messages) == 1


def test_a_password_is_not_sent_where_there_is_no_tls(bureau: Bureau) -> None:
    bureau.submit("mail")
    bureau.house.work()
    with mail_server(offers_login=True) as box:
        office = bureau.office(smtp_url=f"smtp+starttls://us:secret@127.0.0.1:{box.port}")
        office.collect()
        office.deliver()
        assert box.logins == []
    (note,) = bureau.notices("note")[0]
    assert note.startswith("the mail server does not let us in")
    assert "secret" not in note


@pytest.mark.parametrize(
    "address",
    [
        *("ada", "ada@", "@example.org", "ada@example.org, bob@example.org", "Ada <ada@example.org>"),
        *(
            "ada@example.org\r\nBcc: bob@example.org",
            "ada@exämple.org",
            "ada@example.org ",
            "a b@example.org",
        ),
    ],
)
def test_an_address_that_is_none_is_not_written_to(address: str, bureau: Bureau) -> None:
    for none in (address, ""):
        with pytest.raises(ValueError, match="no address"):
            address_of(none)
    bureau.submit("mail")
    bureau.people.seen(Identity("ldap", "ada", "Ada", address))
    bureau.house.work()
    bureau.tell()
    assert bureau.box.messages == []


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", MailServer("mail.example.org", 25, "plain")),
        ("smtps://a:b%40c@mail.example.org", MailServer("mail.example.org", 465, "tls", "a", "b@c")),
        ("smtp+starttls://[::1]:2525", MailServer("::1", 2525, "starttls")),
    ],
)
def test_urls_of_mail_servers(url: str, server: MailServer) -> None:
    assert MailServer.parse(url) == server
    assert "b@c" not in repr(server)


@pytest.mark.parametrize("url", ["smtp://", "http://a", "mail", "smtp://a:b@c", "smtp://a/b", "smtp://a:x"])
def test_what_is_no_url_of_a_mail_server(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        MailServer.parse(url)


def test_notices_are_forgotten_with_their_job(bureau: Bureau) -> None:
    job = bureau.submit("mail")
    bureau.house.work()
    bureau.tell()
    bureau.pass_by(8 * 86_400)
    bureau.tell()
    assert len(bureau.notices("notice_id")) >= 1, "it would be told again"
    bureau.service.destroy(job)
    bureau.house.upkeep.forget(job.job_id)
    bureau.pass_by(8 * 86_400)
    bureau.tell()
    assert bureau.notices("notice_id") == []


def test_the_owner_is_told_whoever_asks_for_it(bureau: Bureau) -> None:
    job = bureau.submit()
    bureau.service.set_notices(job, ["mail"])
    bureau.house.work()
    bureau.tell()
    assert [message["To"] for message in bureau.box.messages] == ["ada@example.org"]
