"""``/queue``, and what the document of a job says of its place."""

from __future__ import annotations

from lxml import etree

from dali.caller import Caller
from dali.parameters import Parameters
from tests.uws.conftest import NAMES, Client, House, id_of
from uws.job import LANES, Job
from uws.phase import Phase


def submit(house: House, caller: Caller, **parameters: object) -> Job:
    values = {name: (str(value),) for name, value in {"LANE": "low", **parameters}.items()}
    return house.service.submissions.create("toy", Parameters(values), caller, run=True)


def place_of(client: Client, job_id: str) -> tuple[etree._Element | None, str]:
    found = client.document(f"/{job_id}").find("uws:jobInfo/job:queue", NAMES)
    return found, "" if found is None else found.findtext("job:reason", "", NAMES)


def test_a_job_says_its_place_and_why_it_waits(each_house: House) -> None:
    house = each_house
    client = house.client("ada")
    first = submit(house, Caller("bob", tier="system", rank=0))
    larger, mine = submit(house, Caller("ada"), ROWS=5), submit(house, Caller("ada"), ROWS=7)
    element, reason = place_of(client, mine.job_id)
    assert element is not None
    assert dict(element.attrib) == {"lane": "low", "place": "3", "jobs": "3", "class": "user"}
    assert reason == "no worker serves the queue low now"
    assert element.find("job:start", NAMES) is None

    house.upkeep.beat("a worker", "host", 1, LANES)
    running = house.claim()
    assert running.job_id == first.job_id
    assert place_of(house.client("bob"), first.job_id) == (None, "")
    element, reason = place_of(client, mine.job_id)
    assert element is not None
    assert element.get("place") == "2"
    assert reason == "the only worker is busy, and 1 job goes before it: 1 your own"
    assert element.findtext("job:start", "", NAMES) > "2026"
    assert place_of(client, larger.job_id)[1] == "it is the next; the only worker is busy"

    submit(house, Caller("cid"), ROWS=3)
    submit(house, Caller("eve", tier="priority", rank=2), ROWS=300)
    reason = place_of(client, mine.job_id)[1]
    assert reason.startswith(
        "the only worker is busy, and 3 jobs go before it: 1 of a higher class, 1 your own"
    )

    house.finish(running)
    assert place_of(client, larger.job_id)[1].startswith("2 jobs go before it: 1 of a higher class, 1 of ")
    house.queues.pause("low", "admin", "disks are moved")
    assert place_of(client, mine.job_id)[1] == "the queue low is paused: disks are moved"
    assert house.queues.resume("low") is True
    assert house.queues.resume("low") is False
    house.work()
    assert place_of(client, mine.job_id) == (None, "")


def test_everybody_sees_how_much_waits_and_the_places_of_his_own(house: House) -> None:
    bob, ada = submit(house, Caller("bob")), submit(house, Caller("ada"), ROWS=5)
    submit(house, Caller(tier="anonymous", rank=4), ROWS=2)
    house.upkeep.beat("w", "host", 1, ("low",))
    house.queues.pause("high", "admin", "it is tried out")
    shown = house.client("ada").at("/queue").get()
    assert shown.headers["Cache-Control"] == "no-store"
    high, low = shown.json["queues"]
    assert (high["queue"], high["jobs"], high["workers"]) == ("high", 0, 0)
    assert high["paused"]["reason"] == "it is tried out"
    assert (low["jobs"], low["workers"], low["running_tasks"], low["paused"]) == (3, 1, 0, None)
    assert [place["own"] for place in low["places"]] == [False, True, False]
    assert [place["class"] for place in low["places"]] == ["user", "user", "anonymous"]
    assert low["places"][1]["job_id"] == ada.job_id
    assert id_of(low["places"][1]["url"]) == ada.job_id
    for other in low["places"][::2]:
        assert set(other) == {"place", "class", "rows", "waited_s", "own"}
    unknown = house.client().at("/queue").get()
    assert not any(place["own"] for place in unknown.json["queues"][1]["places"])
    for secret in (bob.job_id, ada.job_id, "bob", "ada", "admin"):
        assert secret not in unknown.text


def test_it_is_told_in_lines_too(house: House) -> None:
    job = submit(house, Caller("ada"))
    queue = house.client("ada").at("/queue")
    for shown in (queue.get("?RESPONSEFORMAT=text"), queue.get(headers={"Accept": "text/plain"})):
        assert shown.content_type == "text/plain; charset=utf-8"
        assert "queue low: 1 jobs wait, 0 tasks run, 0 workers" in shown.text
        assert job.job_id in shown.text
    assert queue.get("?RESPONSEFORMAT=json", headers={"Accept": "text/plain"}).is_json
    wrong = queue.get("?RESPONSEFORMAT=xml")
    assert (wrong.status_code, wrong.text.splitlines()[0]) == (
        400,
        'UsageError: RESPONSEFORMAT is json or text; got "xml".',
    )
    assert queue.get("?LANE=low").status_code == 400


def test_a_job_is_given_another_class(each_house: House) -> None:
    house = each_house
    small, large = submit(house, Caller("ada")), submit(house, Caller("bob"), ROWS=900, PER_TASK=1)
    assert house.queues.prioritise(large.job_id, rank=0, parallel=1)
    changed = house.job(large.job_id)
    assert (changed.rank, changed.share, changed.parallel) == (0, 1.0, 1)
    assert changed.event_seq == large.event_seq + 1
    assert house.claim().job_id == large.job_id
    assert house.claim().job_id == small.job_id
    assert house.claims.claim(LANES) is None, "one of its tasks runs"
    assert house.jobs.end(large.job_id, Phase.ABORTED)
    assert not house.queues.prioritise(large.job_id, rank=1)
    assert not house.queues.prioritise("nothing", rank=1)
