"""Who does the jobs of a sweep: this process, one after another, or a cluster of Dask."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from hxloop import checks
from hxloop.errors import ConfigError, MissingDependencyError, RunFailed
from hxloop.files import sha256_of
from hxloop.machine import usable_cores
from hxloop.sweep.job import Job, do, failure

# A job whose worker has died so many times is given up: it is what kills them. (Schedulers that
# somebody else has started count as they were told to.)
DEATHS = 3
Outcome = dict[str, Any]


class Crew(Protocol):
    """Does jobs, in whatever order."""

    def do(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job with what came of it, as soon as it is known; see ``hxloop.sweep.job.do``.

        Raises:
            RunFailed: nobody is left to do the rest.
        """
        ...


class InTurn:
    """This process, one job after another."""

    def do(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """See ``Crew``."""
        for job in jobs:
            yield job, do(job, lambda _: contextlib.nullcontext())


class Cluster:
    """Workers of Dask: processes of this machine, or those behind a scheduler somewhere.

    Args:
        workers: so many processes of this machine.
        address: of the scheduler of a cluster that is there, ``tcp://HOST:PORT``, instead.

    Raises:
        MissingDependencyError: the package ``distributed`` is not installed.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self._workers, self._address = workers, address
        try:
            import distributed
        except ImportError as error:
            raise MissingDependencyError(
                "several workers need the package 'distributed', which is not installed; try: pip "
                "install 'hxloop[distributed]', or --workers 1"
            ) from error
        self._dask = distributed

    def do(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """See ``Crew``."""
        import dask

        settings = {
            "distributed.scheduler.allowed-failures": DEATHS - 1,
            # Forked children would inherit locks and threads of libraries in any state.
            "distributed.worker.multiprocessing-method": "spawn",
            # A run may compute for minutes without letting anybody else have a word.
            "distributed.admin.tick.limit": "1h",
        }
        with dask.config.set(settings), contextlib.ExitStack() as stack:
            client = stack.enter_context(self._client(stack))
            of_future = {
                client.submit(_do_on_worker, job, key=_key(job), pure=False): job for job in jobs
            }
            yield from self._outcomes(client, of_future)

    def _client(self, stack: contextlib.ExitStack) -> Any:
        if self._address is None:
            cluster = stack.enter_context(
                self._dask.LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    memory_limit=0,  # a run that needs much is not to be killed half way
                    silence_logs="CRITICAL",
                )
            )
            return self._dask.Client(cluster)
        try:
            return self._dask.Client(self._address, timeout="20s")
        except (OSError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f"--cluster {self._address}: no scheduler of Dask answers there ({error}). Start "
                "one: dask scheduler, and workers: dask worker ADDRESS --nthreads 1"
            ) from error

    def _outcomes(self, client: Any, of_future: dict[Any, Job]) -> Iterator[tuple[Job, Outcome]]:
        try:
            for future in self._dask.as_completed(of_future):
                if future.status == "cancelled":
                    raise RunFailed(_LOST)
                error = future.exception()
                yield of_future[future], future.result() if error is None else _told(error)
        except (OSError, TimeoutError, self._dask.client.FutureCancelledError) as error:
            raise RunFailed(_LOST) from error
        if client.status != "running":
            raise RunFailed(_LOST)


def crew_for(workers: int | None, cluster: str | None, runs: int) -> Crew:
    """Whoever is asked for, and no more of them than there are runs; see ``hxloop.sweep.sweep``.

    Raises:
        ConfigError: both are given, or no number of workers.
        MissingDependencyError: several workers, and no ``distributed``.
    """
    if cluster is not None:
        if workers is not None:
            raise ConfigError(
                "--workers with --cluster: the cluster has its own workers; give one of both"
            )
        return Cluster(address=cluster)
    if workers is None:
        workers = _workers_by_default()
    workers = min(checks.whole("workers", workers, low=1), runs)
    return InTurn() if workers == 1 else Cluster(workers)


def _workers_by_default() -> int:
    return usable_cores() if find_spec("distributed") is not None else 1


_LOST = "the scheduler of the cluster is gone; what is done is kept, and the same command goes on"


def _key(job: Job) -> str:
    """Of the task: alike for the same run, so that a cluster does it once for whoever asks."""
    return f"hxloop-{job.name}-{sha256_of(job.folder, job.config)[:12]}"


def _told(error: BaseException) -> Outcome:
    if type(error).__name__ == "KilledWorker":
        return {"error": "its workers died, one after another (out of memory, or killed)"}
    return failure(error)


def _do_on_worker(job: Job) -> Outcome:
    """On a worker: a device is for one job of the cluster at a time."""
    from distributed import Lock

    lock: Callable[[str], Any] = Lock
    return do(job, lambda device: lock(f"hxloop {device}"))
