"""Two workers against one: what a second core brings."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .client import Client, Load
from .contenders import CONNECTIONS, Contender, Site, served
from .proxying import WARM_UP, first_reply_is_good, records_in
from .report import Report, Row, at_least, ratio
from .running import Running, children, free_port, move, resident, usage, wait_for

METHOD = f"""\
"Workers": `outbounds serve` with full enforcement, {CONNECTIONS} connections. One worker has a \
core to itself, the rest of the machine (nginx, wrk, the collector) the other. Two workers may use \
both cores, and share them with the rest, so their rate alone says less than it seems to. "On two \
cores of their own" takes the rest off: processor time for a request with one worker ÷ with two \
(the supervisor's included), times two, because there are two cores to spend. It counts whatever \
two workers cost each other (locks, caches, smaller batches), but not waiting: "idle" is the part \
of the two cores that nobody used, and must be next to nothing with two workers."""

ONE, TWO = "one worker", "two workers"


@dataclass(frozen=True, slots=True)
class Turn:
    """`cpu`: processor seconds of the workers and their supervisor during `load`; `idle`: the part
    of both cores that was idle; `memory`: octets resident, what is shared counted for each."""

    load: Load
    cpu: float
    idle: float
    memory: int


def measure(report: Report, site: Site, client: Client, folder: Path, *, core: int,
            other_core: int, seconds: int, turns: int) -> None:
    """Adds the rows to `report`. Raises RuntimeError where a reply was not good."""
    found: dict[str, list[Turn]] = {ONE: [], TWO: []}
    for number in range(turns):
        for name, more in ((ONE, ()), (TWO, ("--workers", "2"))):
            here = folder / f"workers-{number}-{len(more)}"
            found[name].append(_turn(Contender(name, served(*more), True), site, client, here,
                                     core, other_core, seconds))
            shutil.rmtree(here)
    rates = {name: [turn.load.rate for turn in each] for name, each in found.items()}
    costs = {name: [turn.cpu / turn.load.requests for turn in each]
             for name, each in found.items()}
    report.rows += [
        ratio(f"{TWO} ÷ {ONE}, on two cores of their own",
              [2 * cost for cost in costs[ONE]], costs[TWO], at_least(1.7)),
        ratio(f"{TWO} ÷ {ONE}, beside nginx, wrk and the collector", rates[TWO], rates[ONE]),
    ]
    for name, each in found.items():
        report.rows += [
            Row(f"{name}: rate", "requests/s", rates[name]),
            Row(f"{name}: processor", "µs/request", [cost * 1e6 for cost in costs[name]]),
            Row(f"{name}: p50, loaded", "ms", [turn.load.p50 / 1e3 for turn in each]),
            Row(f"{name}: p99, loaded", "ms", [turn.load.p99 / 1e3 for turn in each]),
            Row(f"{name}: idle", "%", [turn.idle * 100 for turn in each]),
            Row(f"{name}: memory", "MiB", [turn.memory / 2**20 for turn in each]),
        ]


def _turn(contender: Contender, site: Site, client: Client, folder: Path, core: int,
          other_core: int, seconds: int) -> Turn:
    folder.mkdir(parents=True)
    port, log = free_port(), folder / "stderr.log"
    with Running(contender.command(site, folder, port), core, log=log, folder=folder) as proxy:
        proxy.wait_for_port(port)
        wait_for(lambda: first_reply_is_good(client, port), f"a reply from {contender.name}")
        workers, others = _told_apart(proxy.pid)
        for each in others:
            move(each, other_core)
        if len(workers) > 1:
            for each in workers:
                _free(each, {core, other_core})
        client.run(port, WARM_UP, CONNECTIONS)
        before, idle = _used(workers), _idle((core, other_core))
        load = client.run(port, seconds, CONNECTIONS)
        cpu, idle = _used(workers) - before, _idle((core, other_core)) - idle
        memory = sum(map(resident, workers))
    opened, closed = records_in(folder)
    if load.failed or load.broken or opened < load.requests or opened != closed:
        raise RuntimeError(f"{contender.name}: {load}, {opened} and {closed} records\n"
                           f"{log.read_text('utf-8', 'replace')[-2000:]}")
    return Turn(load, cpu, idle / 2 / (load.microseconds / 1e6), memory)


def _told_apart(pid: int) -> tuple[list[int], list[int]]:
    """The processes that serve or supervise, and those that do not (the collector)."""
    workers, others = [pid], []
    for child in children(pid):
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        (workers if b"--worker" in words else others).append(child)
    return workers, others


def _free(pid: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _used(pids: list[int]) -> float:
    return sum(usage(pid).both for pid in pids)


def _idle(cores: tuple[int, int]) -> float:
    """Seconds that these cores have been idle since the machine started."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{core}" for core in cores}:
            ticks += int(fields[3]) + int(fields[4])  # idle, and waiting for a disk
    return ticks / os.sysconf("SC_CLK_TCK")
