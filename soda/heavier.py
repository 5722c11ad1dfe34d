"""Sync requests that are too much work for the web server: made by a worker, as a job that nobody sees."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from dali.caller import ANONYMOUS, Caller
from dali.errors import AuthorizationError, ProtocolError, ServerError, ServiceUnavailable
from dali.parameters import Parameters
from surveys.errors import StaleImage
from surveys.fits.provenance import covered_share
from surveys.plan import CutoutPlan
from surveys.planner import Limits
from uws.job import Result, RowStatus
from uws.phase import Phase

if TYPE_CHECKING:
    # They bring RQ and Redis, which a program without jobs need not load.
    from uws.results import ResultStore
    from uws.service import JobService

#: Name of the job type, `soda.jobtype.SodaJobs`.
JOB_TYPE = "soda"
#: How many times slower than our own kernels the algorithms of the package reproject are.
SLOWNESS = {"interp": 50, "adaptive": 300, "exact": 300}
RETRY_AFTER_S = 10


def _stays() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks.

    Parameters
    ----------
    base_url
        URL of the service as the client knows it.
    caller
        The client's name.
    is_gone
        Tells whether nobody waits for the answer any more.
    """

    base_url: str = ""
    caller: Caller = ANONYMOUS
    is_gone: Callable[[], bool] = _stays


SOMEBODY = Client()


@dataclass(frozen=True, slots=True)
class Made:
    """A cutout that a worker has made.

    Parameters
    ----------
    file_name, size, chunks
        Its name, its size, and its bytes.
    covered
        Share of its pixels that have data, where its header tells it.
    """

    file_name: str
    size: int
    chunks: Iterator[bytes]
    covered: float | None = None


class Heavier:
    """Has cutouts made by workers, and waits for them.

    Parameters
    ----------
    jobs, results
        Jobs, and where their results lie.
    limits
        The largest cutout a job may make.
    inline_pixels
        Cutouts of so many pixels, read or made, are left to the web server.
    wait_s
        How long a worker may take, with the time it is waited for.
    """

    def __init__(
        self, jobs: JobService, results: ResultStore, limits: Limits, inline_pixels: int, wait_s: float
    ) -> None:
        self._jobs = jobs
        self._results = results
        self.limits = limits
        self._inline_pixels = inline_pixels
        self._wait_s = wait_s

    def takes(self, plan: CutoutPlan) -> bool:
        """Whether the cutout of a plan is for a worker."""
        pixels = max(plan.cost.pixels_in, plan.cost.pixels_out)
        if plan.resampled:
            pixels *= SLOWNESS.get(plan.request.mosaic.resample, 1)
        return pixels > self._inline_pixels

    def make(self, query: str, client: Client) -> Made:
        """Have the cutout made that `query` asks for, in the parameters of SODA.

        Raises
        ------
        ServiceUnavailable
            If no worker can be had, or none has made it in time; tells how to ask for a job instead.
        ServerError
            If it cannot be made.
        StaleImage
            If the index has changed meanwhile so that there is another answer.
        """
        try:
            job = self._jobs.submissions.run_hidden(
                JOB_TYPE, Parameters.from_pairs(parse_qsl(query)), client.caller, self._wait_s, client.is_gone
            )
            if job.phase is Phase.ABORTED:
                raise ServiceUnavailable("this took too long", retry_after_s=RETRY_AFTER_S)
            return self._read(next(iter(self._jobs.results(job)), None))
        except ServiceUnavailable as fault:
            fault.fix = f"Try again later, or have it made by a job: {job_request(query, client.base_url)}"
            raise

    def _read(self, result: Result | None) -> Made:
        if result is None:
            raise ServerError("the cutout could not be made")
        if result.status is not RowStatus.DONE:
            raise _reason(result)
        try:
            chunks = self._results.read(result)
            first = next(chunks)  # what fails does so now, and can be told
        except OSError as error:
            raise ServiceUnavailable("the cutout cannot be read now", retry_after_s=RETRY_AFTER_S) from error
        return Made(result.file_name, result.size, chain((first,), chunks), covered_share(first))


def job_request(query: str, base_url: str) -> str:
    """Write the command that has a job do what `query` asks for."""
    return f"curl -d {shlex.quote(f'{query}&PHASE=RUN')} {shlex.quote(f'{base_url}/async')}"


def _reason(result: Result) -> ProtocolError | StaleImage:
    """Tell why a row has no file."""
    label, _, sentence = result.message.partition(": ")
    match label:
        case "ServiceUnavailable":
            return ServiceUnavailable(sentence, retry_after_s=RETRY_AFTER_S)
        case "AuthorizationError":
            return AuthorizationError(sentence)
        case "Error":
            return ServerError(sentence, "Please report the request id to this service.")
        case _:
            # There was an answer when the request was planned.
            return StaleImage(sentence)
