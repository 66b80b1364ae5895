"""One turn of one contender: started afresh, warmed up, loaded, checked, ended."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path

from .client import Client, Load
from .contenders import Contender, Site
from .evidence_lines import envelopes
from .running import Running, children, free_port, move, resident, usage, wait_for

WARM_UP = 1  # seconds


@dataclass(frozen=True, slots=True)
class Turn:
    """`alone`: the same with one connection, so without any queue. `cpu` and `collector_cpu` are
    processor seconds during `load`, `memory` octets resident at its end, `records` the openings
    and closings on disk when all had ended."""

    load: Load
    alone: Load
    cpu: float
    collector_cpu: float
    memory: int
    records: tuple[int, int]


def take_turn(contender: Contender, site: Site, client: Client, folder: Path, *, core: int,
              other_core: int, seconds: int) -> Turn:
    """Raises RuntimeError when a reply was not 200 or a record is missing: no figure, then."""
    folder.mkdir(parents=True)
    port = free_port()
    log = folder / "stderr.log"
    # cwd: what a contender writes beside itself must not end up in the clone
    with Running(contender.command(site, folder, port), core, log=log, folder=folder) as proxy:
        proxy.wait_for_port(port)
        wait_for(lambda: first_reply_is_good(client, port), f"a reply from {contender.name}")
        helpers = children(proxy.pid)  # the collector: with the first reply it is there
        for helper in helpers:
            move(helper, other_core)
        loads = [client.run(port, WARM_UP, contender.connections)]
        cpu, collector = usage(proxy.pid).both, _sum(helpers)
        load = client.run(port, seconds, contender.connections)
        cpu, collector = usage(proxy.pid).both - cpu, _sum(helpers) - collector
        memory = resident(proxy.pid)
        alone = client.run(port, max(1, seconds // 2), 1)
    loads += [load, alone]
    records = records_in(folder)
    if any(each.failed or each.broken for each in loads):
        raise RuntimeError(f"{contender.name}: not every reply was good: {loads}\n"
                           f"{log.read_text('utf-8', 'replace')[-2000:]}")
    sent = sum(each.requests for each in loads)
    if contender.enforces and not (records[0] >= sent and records[0] == records[1]):
        raise RuntimeError(f"{contender.name}: {records} records of {sent} requests\n"
                           f"{log.read_text('utf-8', 'replace')[-2000:]}")
    return Turn(load, alone, cpu, collector, memory, records)


def first_reply_is_good(client: Client, port: int) -> bool:
    """It waits for the password check and the robots.txt; before the collector is up it is 503."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", client.url, headers={"Proxy-Authorization": client.authorization})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status == 200 and b"A small page" in body


def _sum(pids: list[int]) -> float:
    return sum(usage(pid).both for pid in pids)


def records_in(folder: Path) -> tuple[int, int]:
    """Openings and closings of requests; read from the log itself, without our own reader."""
    opened = closed = 0
    log = folder / "config" / "var" / "evidence"
    for line in envelopes(log) if log.exists() else ():  # stock mitmdump and Squid keep none
        if b'"event.action":"request"' in line:
            opened += b'"event.type":"start"' in line
            closed += b'"event.type":"end"' in line
    return opened, closed
