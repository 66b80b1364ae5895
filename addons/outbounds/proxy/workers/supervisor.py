"""The parent of the workers: see the package. It decides on no request, so it may not crash either.

Order of start: what can be refused cheaply first (ports, the shared table), then the collector,
then the workers, all at once. A worker that cannot start the first time ends everything, with its
exit status: it has said why. Later a worker is started again for ever, as long as another one
serves; when none does and none could be started for a while, the supervisor gives up, so that the
service manager sees it.

Order of stop: the workers drain, then the collector, which has their last records then.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...evidence import options
from ...evidence.supervisor import CollectorProcess
from ...settings import Settings
from ...settings.service import Listen
from ..limit_store import WorkersTable
from ..metrics_page import serve_page
from . import Place
from .page import Family, Pages, exposed
from .ports import Ports
from .process import WorkerProcess

logger = logging.getLogger("outbounds")

EVERY = 10.0      # s between two looks at every worker
ANSWER = 2.0      # s that a page of metrics waits for a worker
STOP = 20.0       # s in which a worker must have drained and stopped, before it is killed
MOST_FAILED = 5   # starts in a row that failed in every worker: giving up

type Words = Callable[[Place, Sequence[Listen], int], Sequence[str]]
"""The arguments of `outbounds` for the worker at a place, with the listeners' ports and the
descriptor of the limits' table."""


class Supervisor(Collector):
    def __init__(self, settings: Settings, count: int, words: Words,
                 listeners: Sequence[Listen]) -> None:
        """`listeners` as configured; port 0 becomes the same free port for all workers. Raises
        `PortTaken`, and OSError for the table of the limits."""
        self._settings = settings
        self._ports = Ports(listeners)
        self._pages = Pages()
        self._over = asyncio.Event()  # a signal came, or no worker can be started any more
        self._status = 0
        try:
            # a server that keeps the limits keeps what the workers share, too
            self._table = (WorkersTable(settings.service)
                           if settings.service.store.url == "memory" else None)
        except BaseException:
            self._ports.close()
            raise
        table = self._table.descriptor if self._table is not None else -1
        self._workers = [
            WorkerProcess(place, words(place, self._ports.listeners, table), self._worker_ended,
                          inherited=[table] if self._table is not None else [])
            for place in (Place(index, count) for index in range(1, count + 1))]

    async def run(self) -> int:
        """Until SIGTERM or SIGINT; returns the exit status. Raises StartError, OSError."""
        loop = self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        collector: CollectorProcess | None = None
        stop_page: Callable[[], None] | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            registry = CollectorRegistry()
            registry.register(self)
            stop_page = serve_page(registry, self._settings)
            collector = await self._start_collector()
            tasks = [asyncio.create_task(each.keep(), name=f"worker {each.place.index}")
                     for each in self._workers]
            if await self._all_started():
                page = self._settings.service.metrics
                logger.info("%d workers serve on %s; metrics on http://%s:%d/metrics.",
                            len(self._workers), self._where(), page.host, page.port)
                tasks.append(asyncio.create_task(self._watch(), name="watch workers"))
                await self._over.wait()
        finally:
            await self._stop_workers(tasks)
            if collector is not None:
                await collector.stop()
            if stop_page is not None:
                await asyncio.to_thread(stop_page)
            if self._table is not None:
                self._table.close()
            self._ports.close()
        return self._status

    # --- start ----------------------------------------------------------------------------------

    async def _start_collector(self) -> CollectorProcess | None:
        evidence = self._settings.evidence
        if evidence.collector != "spawn":
            return None
        collector = CollectorProcess(
            evidence.directory, evidence.socket,
            options=options.words(self._settings), report=logger.error)
        await collector.start()
        return collector

    async def _all_started(self) -> bool:
        while not all(each.ready for each in self._workers):
            failed = next((each for each in self._workers if each.failure), None)
            if failed is not None:
                logger.error("Worker %d %s; stopping.", failed.place.index, failed.failure)
                self._status = failed.status if failed.status > 0 else 1
                return False
            for worker in self._workers:
                worker.kill_if_silent()
            if self._over.is_set():
                return False
            await asyncio.sleep(0.02)
        return True

    def _where(self) -> str:
        return ", ".join(f"{each.host}:{each.port}" for each in self._ports.listeners)

    # --- while running --------------------------------------------------------------------------

    async def _worker_ended(self, place: Place) -> None:
        self._pages.end(place.index)
        if self._table is not None:
            # in a thread: it waits for the table's lock, which a worker that was stopped may have
            await asyncio.to_thread(self._table.forget, place)
        if all(each.failed_starts >= MOST_FAILED for each in self._workers):
            logger.critical("No worker can be started any more; giving up.")
            self._status = 1
            self._over.set()

    async def _watch(self) -> None:
        """Until cancelled: notice those that hang, and keep what each has counted."""
        while True:
            await asyncio.sleep(EVERY)
            await self._refresh()
            for worker in self._workers:
                worker.kill_if_silent()

    async def _refresh(self) -> list[Family]:
        """The page of all. A worker that does not answer is in it as it last did."""
        pages = await asyncio.gather(*(each.ask(ANSWER) for each in self._workers))
        for worker, page in zip(self._workers, pages, strict=True):
            if page is not None and worker.ready:
                self._pages.update(worker.place.index, page)
        return list(self._pages.merged())

    def collect(self) -> list[Metric]:
        """Called by the page's thread."""
        merged: list[Family] = []
        with suppress(TimeoutError, CancelledError):  # the loop has ended, or is about to
            merged = asyncio.run_coroutine_threadsafe(self._refresh(), self._loop).result(
                ANSWER + 1.0)
        serving = sum(each.ready for each in self._workers)
        return [
            *map(exposed, merged),
            GaugeMetricFamily("outbounds_workers", "Workers that serve.", serving),
            CounterMetricFamily("outbounds_worker_restarts", "Workers that were started again.",
                                sum(each.restarts for each in self._workers)),
        ]

    # --- stop -----------------------------------------------------------------------------------

    def _asked_to_stop(self) -> None:
        """The first time, the workers drain. The second time, they stop at once."""
        if self._over.is_set():
            for worker in self._workers:
                worker.signal(signal.SIGTERM)
        self._over.set()

    async def _stop_workers(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for worker in self._workers:
            worker.stopping = True
            worker.signal(signal.SIGTERM)
        deadline = self._loop.time() + STOP
        while any(each.pid is not None for each in self._workers):
            if self._loop.time() > deadline:
                logger.error("Workers did not stop within %g s; killing them.", STOP)
                for worker in self._workers:
                    worker.signal(signal.SIGKILL)
                deadline += STOP
            await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
