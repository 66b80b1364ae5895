"""Evidence: making a line, waiting until it is on disk, and how many a second."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from time import perf_counter

from outbounds.evidence.client import EvidenceClient
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.outbox import Outbox
from outbounds.evidence.record import Encoder, Record
from outbounds.evidence.supervisor import CollectorProcess

from . import evidence_sealed
from .evidence_lines import envelopes
from .machine import cores, filesystem
from .report import OUT, Report, Row, at_least, at_most
from .running import move, usage

SESSION = "bench"
TARGET = "/catalogue/item?id=5&colour=red"
RECORDS = 60_000
SINGLES = 500    # records committed one after the other; six times as many by 32 tasks
AT_ONCE = 4_000  # records handed over before one is awaited

METHOD = """\
A collector process of its own writes to {disk} and flushes before it acknowledges; {placed}. \
"commit" is from hand-over to acknowledgement, {singles} one after the other, or by 32 tasks. \
"sustained" hands over {records:,} openings and closings, {at_once:,} at a time, and counts until \
the last is acknowledged; "of the collector's time" divides by what its processor spent on them. \
{turns} turns, A B C A B C …; then, once, what is sealed. {sealed}"""


def run(quick: bool) -> Report:
    report = asyncio.run(_run(2 if quick else 5, RECORDS // 6 if quick else RECORDS))
    report.rows += evidence_sealed.rows(quick)
    return report


async def _run(turns: int, records: int) -> Report:
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="evidence-", dir=OUT))
    # a socket's path is short, and a clone's may be long
    sockets = Path(tempfile.mkdtemp(prefix="outbounds-bench-"))
    encoder = Encoder(SESSION, bytes(32))
    collector = CollectorProcess(folder / "log", sockets / "collector")
    client = EvidenceClient(sockets / "collector", SESSION, timeout=30.0)
    await collector.start()
    try:
        client.start()
        await client.wait_available(20.0)
        assert collector.pid is not None
        report = Report("evidence", METHOD.format(
            disk=filesystem(OUT), placed=_place(collector.pid), singles=SINGLES,
            records=records - 7 * SINGLES,
            at_once=AT_ONCE, turns=turns,
            sealed=evidence_sealed.METHOD))
        report.rows += await _rows(client, encoder, collector.pid, turns, records)
        _check(folder / "log", (turns + 1) * records)
    finally:
        await client.close()
        await collector.stop()
        shutil.rmtree(folder)
        shutil.rmtree(sockets)
    return report


def _place(collector: int) -> str:
    """Give the collector a core of its own, where there are two."""
    available = cores()
    if len(available) < 2 or not hasattr(os, "sched_setaffinity"):
        return "both processes share what cores there are"
    move(collector, available[0])
    move(os.getpid(), available[1])
    return f"it has core {available[0]} to itself and the client core {available[1]}"


async def _rows(client: EvidenceClient, encoder: Encoder, collector: int, turns: int,
                records: int) -> list[Row]:
    encode: dict[str, list[float]] = {"opening": [], "closing": []}
    alone, together, rates, own_rates = [], [], [], []
    for turn in range(turns + 1):
        lines, took = _lines(encoder, records)
        singles, many, lines = lines[:SINGLES], lines[SINGLES:7 * SINGLES], lines[7 * SINGLES:]
        figures = (await _commit(client, singles, 1), await _commit(client, many, 32))
        rate, own_rate = await _sustained(client, lines, collector)
        if turn:
            for name, each in took.items():
                encode[name].append(each)
            alone.append(figures[0])
            together.append(figures[1])
            rates.append(rate)
            own_rates.append(own_rate)
    if client.lost or client.nacks:
        raise RuntimeError(f"{client.lost} records lost, {client.nacks} frames refused")
    return [
        *(Row(f"event loop, {name}", "µs", figures, at_most(10.0))
          for name, figures in encode.items()),
        Row("commit p50, one at a time", "ms", alone, at_most(1.0)),
        Row("commit p50, 32 at a time", "ms", together, at_most(1.0)),
        Row("sustained", "records/s", rates, at_least(30_000.0)),
        Row("sustained, of the collector's time", "records/s", own_rates),
    ]


def _lines(encoder: Encoder, records: int) -> tuple[list[bytes], dict[str, float]]:
    """Openings, each followed by its closing; and what one takes of the event loop, from nothing to
    where it waits to be sent, the median in µs."""
    lines: list[bytes] = []
    times: dict[str, list[float]] = {"opening": [], "closing": []}
    outbox = Outbox(1 << 40)
    gc.collect()
    for _ in range(records // 2):
        began = perf_counter()
        start = _opening()
        line = encoder.encode(start, TARGET)
        outbox.keep(line, outbox.max_bytes, began)
        times["opening"].append(perf_counter() - began)
        lines.append(line)
        began = perf_counter()
        line = encoder.encode(closing(
            start, at=time.time_ns(), outcome="success", duration=1_234_567, status=200,
            response_bytes=5_120, egress=("192.0.2.1", 40_123), dialled="93.184.215.14"))
        outbox.keep(line, outbox.max_bytes, began)
        times["closing"].append(perf_counter() - began)
        lines.append(line)
    return lines, {name: median(each) * 1e6 for name, each in times.items()}


def _opening() -> Record:
    at = time.time_ns()
    record = opening(id=new_id(at), at=at, action="request")
    record.user_id = "acct_ab2cd3ef4gh5"
    record.source_ip, record.source_port = "198.51.100.7", 51234
    record.connection = "5b3c2f8e-6a4e-4c1b-9a55-1f2b3c4d5e6f"
    record.destination_domain, record.destination_port = "www.shop.example", 80
    record.http_request_method, record.url_scheme = "GET", "http"
    record.user_agent = "ExampleFetcher/1.0 (+https://fetcher.example/about)"
    record.way, record.verdict, record.visibility = "plain", "allow", "full"
    record.policy_version, record.robots_sha256 = "a" * 64, "b" * 64
    record.robots_state, record.robots_scope, record.robots_line = "fresh", "path", 12
    return record


def _check(log: Path, expected: int) -> None:
    """Every record is there, once; read without our own reader."""
    found = [line.split(b'"event.id":"', 1)[1][:36] + line.split(b'"event.type":"', 1)[1][:3]
             for line in envelopes(log)]
    if not len(found) == len(set(found)) == expected:
        raise RuntimeError(f"{len(found)} lines, {len(set(found))} different, not {expected}")


async def _commit(client: EvidenceClient, lines: list[bytes], tasks: int) -> float:
    """The median time of a commit in ms, when `tasks` take turns with `lines`."""
    times: list[float] = []
    left = iter(lines)

    async def work() -> None:
        for line in left:
            began = perf_counter()
            await client.commit(line)
            times.append(perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(tasks)))
    return median(times) * 1e3


async def _sustained(client: EvidenceClient, lines: list[bytes],
                     collector: int) -> tuple[float, float]:
    """Records per second of time, and per second of the collector's processor time."""
    spent, began = usage(collector).both, perf_counter()
    for start in range(0, len(lines), AT_ONCE):
        *first, last = lines[start:start + AT_ONCE]
        for line in first:
            client.post(line)
        await client.commit(last)
    took, spent = perf_counter() - began, usage(collector).both - spent
    return len(lines) / took, len(lines) / max(spent, 0.01)
