"""What notices say."""

from __future__ import annotations

from uws.moment import format_moment
from uws.notices.event import Notice

_SUBJECTS = {
    "done": "Your cutouts are ready",
    "failed": "A job has failed",
    "expiring": "Your cutouts expire soon",
    "expired": "Your cutouts have expired",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def subject(notice: Notice) -> str:
    """Give the subject of a mail: one line."""
    return f"{_SUBJECTS[notice.event]}: {notice.facts.name or notice.job_id}"


def body(notice: Notice, jobs_url: str, unsubscribe_url: str) -> str:
    """Give the text of a mail.

    Parameters
    ----------
    notice
        What is to be told.
    jobs_url
        URL of the job resource.
    unsubscribe_url
        Where mail is stopped.
    """
    facts = notice.facts
    until = f"{format_moment(facts.destruction_ms)[:16].replace('T', ' ')} UTC"
    lines = [f"{subject(notice)}.", ""]
    if facts.name:
        lines.append(f"Job     {notice.job_id}")
    lines.append(f"Rows    {_rows(notice)}")
    if facts.error:
        lines.append(f"Reason  {facts.error}")
    if facts.size and notice.event != "expired":
        lines.append(f"Size    {_size(facts.size)}")
    if notice.event == "expired":
        lines.append(f"Removed {until}")
    else:
        lines += [f"Kept    until {until}", f"Where   {jobs_url}/{notice.job_id}"]
    if notice.event == "expiring":
        lines += ["", "Download them by then, or POST a later DESTRUCTION to the address above."]
    return "\n".join([*lines, "", "-- ", f"No more mail like this: {unsubscribe_url}", ""])


def _rows(notice: Notice) -> str:
    counts = notice.facts.counts
    failed = counts.failed + counts.poison
    told = ((counts.done, "made"), (counts.empty, "without data"), (failed, "failed"))
    parts = [f"{count} {word}" for count, word in told if count]
    return f"{counts.total}" + (f": {', '.join(parts)}" if parts else "")


def _size(size: int) -> str:
    number, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:
            break
        number /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{number:.1f} {unit}"
