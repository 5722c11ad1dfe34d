"""News of jobs as clients read them, with a real database and a real Redis."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, update

from dali.caller import Caller
from dali.clock import NowMs
from dali.errors import ServiceUnavailable
from tests.support.soda_jobs import until
from tests.support.streams import Followed, open_stream
from tests.uws.conftest import House, id_of
from uws.bell import Bell
from uws.job import NewJob
from uws.phase import Phase
from uws.store.changes import Changes
from uws.store.rows import take_number
from uws.streams.followers import ListFollower
from uws.streams.hub import Hub
from uws.streams.position import Position
from uws.tables import EventRow, JobRow

JSON = {"Accept": "application/json"}
Follow = Callable[..., Followed]


@pytest.fixture
def follow(request: pytest.FixtureRequest) -> Iterator[Follow]:
    """Open streams of a house; they are closed at the end."""
    with ExitStack() as stack:

        def follow(house: House, url: str, caller: str = "ann", last: str = "") -> Followed:
            headers = {"X-Caller": caller} if caller else {}
            stream = open_stream(
                house.app.test_client(), house.hub, url, headers | ({"Last-Event-ID": last} if last else {})
            )
            stack.callback(stream.close)
            return stream

        yield follow


def made(house: House, caller: str = "ann", **form: Any) -> str:
    return id_of(house.client(caller).make(**{"DO": "ok", **form}))


def events_of(house: House, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        house.client("admin").get(f"/{job_id}/events?LIMIT=1000").get_json()["events"]
    )
    return found


# Events of a job


def test_each_event_of_a_job_is_told_in_order_and_then_the_end(each_house: House, follow: Follow) -> None:
    house, job_id = each_house, made(each_house, ROWS=6, PER_TASK=2)
    stream = follow(house, f"/async/{job_id}/events")
    shown = stream.next()
    assert (shown.name, shown.data["phase"], shown.position) == ("job", "PENDING", "0")
    house.client("ann").post(f"/{job_id}/phase", PHASE="RUN")
    assert stream.next("event").data["data"] == {"phase": "QUEUED"}
    house.work()
    told = stream.rest()
    assert [one.name for one in told][-1] == "end"
    assert told[-1].data["phase"] == "COMPLETED"
    assert [one.data["seq"] for one in told[:-1]] == list(range(2, house.job(job_id).event_seq + 1))
    assert told[-2].position == str(house.job(job_id).event_seq)
    assert told[-2].data["job"]["done"] == 6
    pages = [{key: one.data[key] for key in ("seq", "at", "kind", "data")} for one in told[:-1]]
    assert events_of(house, job_id)[1:] == pages


def test_a_stream_goes_on_where_it_was(each_house: House, follow: Follow) -> None:
    house, job_id = each_house, made(each_house, ROWS=12, PER_TASK=1, PHASE="RUN")
    house.work()
    last = house.job(job_id).event_seq
    for after, by_header in ((0, True), (last // 2, False), (last, True)):
        url = f"/async/{job_id}/events" + ("" if by_header else f"?AFTER={after}")
        told = follow(house, url, last=str(after) if by_header else "").rest()
        assert [one.data["seq"] for one in told[:-1]] == list(range(after + 1, last + 1))
        assert told[-1].name == "end"
    told = follow(house, f"/async/{job_id}/events?AFTER=3", last="7").rest()
    assert told[0].data["seq"] == 8, "the browser knows better"
    pages = house.client("ann").get(f"/{job_id}/events?LIMIT=7").get_json()
    seqs = [one["seq"] for one in pages["events"]]
    while pages["next"]:
        pages = house.client("ann").get(pages["next"]).get_json()
        seqs += [one["seq"] for one in pages["events"]]
    assert seqs == list(range(1, last + 1))
    assert pages["job"]["done"] == 12


def test_events_that_happen_while_others_are_read_are_told_once(
    each_house: House, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many are behind, more come, and a second client is up to date."""
    monkeypatch.setattr("uws.streams.hub.MOST_EVENTS", 20)
    house, job_id = each_house, made(each_house, ROWS=2)
    for _ in range(70):
        house.jobs.tell(job_id, "download", {"result": "x"})
    late, prompt = follow(house, f"/async/{job_id}/events?AFTER=0"), follow(house, f"/async/{job_id}/events")
    for _ in range(20):
        house.jobs.tell(job_id, "download", {"result": "y"})
    house.bell.tell(job_id, Phase.PENDING)
    house.jobs.destroy(job_id)
    house.bell.tell(job_id, Phase.ABORTED)
    told = late.rest()
    assert [one.data["seq"] for one in told[:-1]] == list(range(1, 92))
    assert told[-1].data["gone"]
    assert [one.data["seq"] for one in prompt.rest() if one.name == "event"] == list(range(71, 92))


def test_who_is_far_behind_keeps_nobody_waiting(
    house: House, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uws.streams.hub.MOST_EVENTS", 2)
    job_id, count = made(house), 4000
    with house.engine.execution_options(writes=True).begin() as connection:
        row = {"job_id": job_id, "at_ms": house.jobs.now_ms(), "kind": "x"}
        connection.execute(insert(EventRow), [{**row, "seq": seq} for seq in range(1, count + 1)])
        connection.execute(update(JobRow).where(JobRow.job_id == job_id).values(event_seq=count))
    late, prompt = follow(house, f"/async/{job_id}/events?AFTER=0"), follow(house, f"/async/{job_id}/events")
    prompt.next("job")
    house.jobs.tell(job_id, "download", {"result": "y"})
    house.bell.tell(job_id, Phase.PENDING)
    assert prompt.next("event").data["seq"] == count + 1
    assert [late.next("event").data["seq"] for _ in range(3)] == [1, 2, 3]
    places = [follower.events_after or 0 for follower in house.hub._followers]
    assert min(places) < count, "it has far to go still"


def test_a_number_of_another_time_is_none(house: House, follow: Follow) -> None:
    """The database may have been set back to what was saved of it."""
    job_id = made(house)
    assert follow(house, f"/async/{job_id}/events", last="1000").next().name == "job"
    to_come = str(Position(house.jobs.now_ms() + 3_600_000))
    assert follow(house, "/events", last=to_come).next().name == "reset"


def test_a_stream_that_breaks_takes_no_other_with_it(
    house: House, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = made(house)
    broken, other = follow(house, "/events"), follow(house, f"/async/{job_id}/events")
    other.next("job")

    def fail(*_: object) -> None:
        raise RuntimeError("what nobody has thought of")

    monkeypatch.setattr(ListFollower, "tell", fail)
    house.client("ann").post(f"/{job_id}/phase", PHASE="RUN")
    assert other.next("event").data["data"] == {"phase": "QUEUED"}
    assert broken.rest() == []


def test_without_redis_news_arrive_all_the_same(house: House, follow: Follow) -> None:
    house.bell.close()
    house.__dict__["bell"] = Bell("unix:///nowhere/redis.sock")
    job_id = made(house, ROWS=2)
    one, all_ = follow(house, f"/async/{job_id}/events"), follow(house, "/events")
    house.client("ann").post(f"/{job_id}/phase", PHASE="RUN")
    assert one.next("event").data["data"] == {"phase": "QUEUED"}
    assert all_.next("job").data["phase"] == "QUEUED"


def test_a_ring_that_is_lost_is_made_up_for(house: House, follow: Follow) -> None:
    job_id = made(house)
    stream = follow(house, f"/async/{job_id}/events")
    stream.next("job")
    house.jobs.end(job_id, Phase.ABORTED)
    assert stream.next("event").data["data"] == {"phase": "ABORTED"}
    assert stream.next().name == "end"


# Jobs


def test_ones_own_jobs_are_told_whenever_they_change(each_house: House, follow: Follow) -> None:
    house = each_house
    first = made(house, RUNID="<script>")
    stream = follow(house, "/events")
    other = made(house, caller="bob")
    second = made(house)
    assert stream.next().data["id"] == second
    house.client("ann").post(f"/{first}/executionduration", EXECUTIONDURATION=60)
    told = stream.next()
    assert (told.data["id"], told.data["label"], told.data["may"]["change"]) == (first, "<script>", True)
    house.client("ann").send("DELETE", f"/{second}")
    assert stream.next()[:2] == ("gone", {"id": second})
    assert other not in stream.position


def test_whoever_comes_back_is_told_what_has_changed_and_nothing_else(
    each_house: House, follow: Follow
) -> None:
    house = each_house
    ids = [made(house) for _ in range(4)]
    stream = follow(house, "/events")
    for job_id in ids[:2]:
        house.client("ann").post(f"/{job_id}/executionduration", EXECUTIONDURATION=60)
    seen = {stream.next("job").data["id"] for _ in range(2)}
    assert seen == set(ids[:2])
    last = stream.position
    stream.close()
    for _ in range(3):
        house.client("ann").post(f"/{ids[1]}/executionduration", EXECUTIONDURATION=70)
    house.client("ann").send("DELETE", f"/{ids[3]}")
    fifth = made(house)
    back = follow(house, "/events", last=last)
    told = [back.next() for _ in range(3)]
    assert sorted((one.name, one.data["id"]) for one in told) == sorted(
        [("job", ids[1]), ("gone", ids[3]), ("job", fifth)]
    )
    page = house.client("ann").get("http://localhost/events", query_string={"AFTER": last}).get_json()
    assert {job["id"] for job in page["jobs"]} == {ids[1], fifth}
    assert page["gone"] == [ids[3]]
    assert not page["reset"]
    again = (
        house.client("ann").get("http://localhost/events", query_string={"AFTER": page["cursor"]}).get_json()
    )
    assert (again["jobs"], again["gone"]) == ([], [])
    third = follow(house, "/events", last=back.position)
    house.client("ann").post(f"/{ids[0]}/executionduration", EXECUTIONDURATION=80)
    assert third.next().data["id"] == ids[0], "nothing else was told before"


def test_what_was_long_in_coming_to_light_is_told_once(postgresql_house: House, follow: Follow) -> None:
    house = postgresql_house
    slow, quick = made(house), made(house)
    stream = follow(house, "/events")
    with house.engine.execution_options(writes=True).connect() as connection:
        transaction = connection.begin()
        seq = take_number(connection, slow)
        connection.execute(insert(EventRow).values(job_id=slow, seq=seq, at_ms=NowMs(), kind="x", data=None))
        house.client("ann").post(f"/{quick}/executionduration", EXECUTIONDURATION=60)
        assert stream.next().data["id"] == quick
        last = stream.position
        transaction.commit()
    assert stream.next().data["id"] == slow, "by a stream that was there"
    back = follow(house, "/events", last=last)
    assert back.next().data["id"] == slow, "and by one that comes back"
    third = made(house)
    assert back.next().data["id"] == third
    assert stream.next().data["id"] == third


def test_jobs_are_followed_by_name_by_whoever_knows_them(each_house: House, follow: Follow) -> None:
    house = each_house
    job_id = made(house, caller="")
    assert house.client("").get("http://localhost/events").status_code == 400
    stream = follow(house, f"/events?JOB={job_id}&JOB={'0' * 32}", caller="")
    assert stream.next()[:2] == ("gone", {"id": "0" * 32})
    made(house, caller="")
    house.client("").post(f"/{job_id}/phase", PHASE="RUN")
    told = stream.next()
    assert (told.data["id"], told.data["phase"]) == (job_id, "QUEUED")
    page = house.client("").get(f"http://localhost/events?JOB={job_id}&JOB={'0' * 32}").get_json()
    assert [job["id"] for job in page["jobs"]] == [job_id]
    assert page["gone"] == ["0" * 32]


def test_somebody_elses_jobs_are_followed_by_nobody_else(house: House, follow: Follow) -> None:
    job_id = made(house)
    for url in (f"http://localhost/events?JOB={job_id}", f"/{job_id}/events"):
        for headers in ({}, {"Accept": "text/event-stream"}):
            assert house.client("bob").get(url, headers=headers).status_code == 403
            assert house.client("admin").get(url).status_code == 200
    assert house.hub.count == 0


def test_who_may_see_a_job_no_longer_is_told_no_more(house: House, follow: Follow) -> None:
    job = house.jobs.create(NewJob("a" * 32, "toy", "ann", "", (), 0, 1000, shared_with=("team",)))
    allowed = [True]
    house.hub._may_see = lambda caller, job, link: caller.name == "ann" or allowed[0]
    house.service._rights = replace_see(house, allowed)  # type: ignore[assignment]
    streams = [
        follow(house, f"/events?JOB={job.job_id}", caller="bob"),
        follow(house, f"/async/{job.job_id}/events", caller="bob"),
    ]
    streams[1].next("job")
    allowed[0] = False
    house.jobs.change_sharing(job.job_id, ())
    house.bell.tell(job.job_id, Phase.PENDING)
    assert streams[0].next().name == "gone"
    assert streams[1].rest() == []


def replace_see(house: House, allowed: list[bool]) -> Any:
    class Rights:
        def can(self, caller: Caller, action: str, job: object) -> bool:
            return caller.name == "ann" or allowed[0]

        def may_have(self, caller: Caller, job: object) -> bool:
            return True

    return Rights()


def test_after_hours_lists_are_to_be_read_anew(house: House, follow: Follow) -> None:
    job_id = made(house)
    long_ago = str(Position(house.jobs.now_ms() - 2 * 3_600_000))
    stream = follow(house, "/events", last=long_ago)
    assert stream.next().name == "reset"
    house.client("ann").send("DELETE", f"/{job_id}")
    assert stream.next()[:2] == ("gone", {"id": job_id})
    assert house.client("ann").get(f"http://localhost/events?AFTER={long_ago}").get_json()["reset"]


# Clients and processes that come and go


def test_a_restart_leaves_no_gap_and_tells_nothing_twice(each_house: House, follow: Follow) -> None:
    house, job_id = each_house, made(each_house, ROWS=15, PER_TASK=1, PHASE="RUN")
    seqs: list[int] = []
    states: list[int] = []
    last_event = last_job = ""
    for part in range(3):
        if last_event:
            one = follow(house, f"/async/{job_id}/events", last=last_event)
            all_ = follow(house, "/events", last=last_job)
        else:
            one, all_ = follow(house, f"/async/{job_id}/events?AFTER=0"), follow(house, "/events")
        for _ in range(3):
            if (claim := house.claims.claim(("high", "low"))) is not None:
                house.finish(claim)
        while len(seqs) < house.job(job_id).event_seq:
            seqs.append(one.next("event").data["seq"])
        while not states or states[-1] < house.job(job_id).event_seq:
            states.append(all_.next("job").data["seq"])
        for _ in range(2):  # while nobody serves
            if part < 2 and (claim := house.claims.claim(("high", "low"))) is not None:
                house.hub.drain()
                until(lambda: house.hub.count == 0)
                house.finish(claim)
        house.hub.drain()
        seqs += [told.data["seq"] for told in one.rest() if told.name == "event"]
        states += [told.data["seq"] for told in all_.rest()]
        last_event, last_job = one.position, all_.position
        until(lambda: house.hub.count == 0)
        house.__dict__.pop("hub")
        house.__dict__.pop("app")
    assert seqs == list(range(1, house.job(job_id).event_seq + 1))
    assert states == sorted(set(states))


def test_a_drained_hub_ends_all_streams_and_begins_none(house: House, follow: Follow) -> None:
    job_id = made(house)
    streams = [follow(house, "/events") for _ in range(5)]
    house.hub.drain()
    for stream in streams:
        assert stream.rest() == []
    answer = house.client("ann").get(f"/{job_id}/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert house.client("ann").get(f"/{job_id}/events").status_code == 200, "pages are answered still"


def test_there_are_so_many_streams_and_no_more(house: House, follow: Follow) -> None:
    house.settings = replace(house.settings, max_streams=2)
    streams = [follow(house, "/events") for _ in range(2)]
    headers = {"Accept": "text/event-stream"}
    assert house.client("ann").get("http://localhost/events", headers=headers).status_code == 503
    streams[0].close()
    until(lambda: house.hub.count == 1)
    follow(house, "/events").hello()


def test_one_client_does_not_take_all_places(house: House) -> None:
    hub = Hub(Changes(house.engine), house.bell, house.service.may_see, 8)
    for _ in range(2):
        hub.take_place("somebody")
    with pytest.raises(ServiceUnavailable):
        hub.take_place("somebody")
    for client in ("somebody else", *("" for _ in range(5))):
        hub.take_place(client)
    assert hub.count == 8
    hub.give_back("somebody")
    hub.take_place("somebody")


def test_two_hundred_clients_leave_nothing(house: House, follow: Follow) -> None:
    job_id = made(house)
    threads = threading.active_count()
    followers = _followers()
    streams = [follow(house, "/events" if number % 2 else f"/async/{job_id}/events") for number in range(200)]
    assert house.hub.count == 200
    house.client("ann").post(f"/{job_id}/phase", PHASE="RUN")
    for stream in streams:
        assert stream.next("job", "event")
    assert threading.active_count() <= threads + 2
    for stream in streams:
        stream.close()
    until(lambda: house.hub.count == 0)
    house.hub.close()
    until(lambda: threading.active_count() <= threads)
    streams.clear()
    assert _followers() == followers


def _followers() -> int:
    gc.collect()
    return sum(type(one).__name__ in ("JobFollower", "ListFollower", "Wire") for one in gc.get_objects())


def test_a_server_that_hands_nothing_over_sends_all_the_same(house: House) -> None:
    job_id = made(house)
    headers = {"X-Caller": "ann", "Accept": "text/event-stream"}
    answer = house.app.test_client().get(f"/async/{job_id}/events", headers=headers)
    pieces = iter(answer.response)
    assert b"event: job" in next(pieces)
    house.client("ann").post(f"/{job_id}/phase", PHASE="ABORT")
    rest = b"".join(piece if isinstance(piece, bytes) else piece.encode() for piece in pieces)
    assert b"event: end" in rest
    answer.close()
    assert house.hub.count == 0


def test_an_answer_that_is_not_read_holds_no_place(house: House) -> None:
    made(house)
    headers = {"X-Caller": "ann", "Accept": "text/event-stream"}
    house.app.test_client().get("/events", headers=headers).close()
    assert house.app.test_client().head("/events", headers=headers).status_code == 200
    assert house.hub.count == 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/events?AFTER=x", "AFTER is a cursor of this resource"),
        ("/events?JOB=%00", "JOB is the id of a job"),
        ("/events?PHASE=RUN", "PHASE is not a parameter"),
        ("/async/{job}/events?AFTER=-1", "AFTER is the number of an event"),
        ("/async/{job}/events?AFTER=99999999999999999999", "AFTER is the number of an event"),
        ("/async/{job}/events?LIMIT=1001", "LIMIT is a whole number from 1 to 1000"),
        ("/async/{job}/events?AFTER=1&AFTER=2", "AFTER is taken once"),
    ],
)
def test_what_is_wrong_is_said(house: House, url: str, says: str) -> None:
    answer = house.client("ann").get("http://localhost" + url.format(job=made(house)))
    assert answer.status_code == 400
    assert says in answer.text


@pytest.mark.parametrize("last", ["x", "9" * 5000, "-1", "é", "1-AAAA"])
def test_a_place_that_no_stream_gave_is_none(house: House, follow: Follow, last: str) -> None:
    """A browser that is refused does not come back by itself."""
    job_id = made(house)
    headers = {"X-Caller": "ann", "Last-Event-ID": last.encode().decode("latin-1")}
    for url in ("/events", f"/async/{job_id}/events"):
        stream = open_stream(house.app.test_client(), house.hub, url, headers)
        assert stream.hello() != last if url == "/events" else stream.next("job")
        stream.close()
