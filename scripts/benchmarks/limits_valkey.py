"""Limits on a server: what it adds to a decision, how much it can decide, and being without it.

One server on loopback that keeps nothing on disk, this process as one proxy. Requests come at
times of their own, whether those before have been answered or not, and each is timed from when it
was due: what a store does to the event loop counts against it. The same load on a store in memory
shows what of that is the machine's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import selectors
import signal
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Coroutine
from contextlib import closing
from time import perf_counter
from typing import Any

from outbounds.core.limits import Charge, Limit, Per, Taken, Unit
from outbounds.settings.service import Store
from outbounds.stores import LimitStore
from outbounds.stores.memory import MemoryStore
from outbounds.stores.valkey import ValkeyStore
from outbounds.stores.valkey.function import Function, function_of, shipped

from .report import Report, Row, at_least, at_most
from .running import accepts, free_port, wait_for
from .tools import Missing, find

RATE = 2000
SATURATING = 64
CLOCK = b"clock-of-the-benchmark"


class Server:
    def __init__(self) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        program = find("redis-server")
        process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", self._folder.name], stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), "the server of limits")
        return process

    def again(self) -> None:
        self.process = self._start()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def command(self, *words: bytes) -> bytes:
        """One command in the inline form, and the beginning of its reply."""
        with closing(socket.create_connection(("127.0.0.1", self.port), 5.0)) as connection:
            connection.sendall(b" ".join(words) + b"\r\n")
            return connection.recv(65_536)

    def calls(self) -> int:
        said = self.command(b"INFO", b"commandstats").decode()
        line = next((each for each in said.splitlines() if each.startswith("cmdstat_fcall:")), "")
        return int(line.partition("calls=")[2].partition(",")[0] or 0)


def add(report: Report, quick: bool) -> None:
    """Rows of the store on a server; `missing` where there is no server to be had."""
    try:
        server = Server()
    except Missing as why:
        report.missing["limits on a server"] = str(why)
        return
    # as the proxy does when it has started: what stays is not walked over by every collection
    gc.collect()
    gc.freeze()
    try:
        # select() waits to the microsecond, epoll to the millisecond: arrivals would come in heaps
        asyncio.run(_loads(report, server, quick), loop_factory=lambda:
                    asyncio.SelectorEventLoop(selectors.SelectSelector()))
        asyncio.run(_outages(report, server, 1 if quick else 3))
        asyncio.run(_exactness(report, server, 300 if quick else 3600))
    finally:
        gc.unfreeze()
        server.close()


async def _loads(report: Report, server: Server, quick: bool) -> None:
    turns, seconds = (1, 2.0) if quick else (3, 10.0)
    p99, in_memory, p50, round_trips, decisions, three = [], [], [], [], [], []
    store, memory = await _store(server, 0.1), MemoryStore()
    for _ in range(turns):
        await _open_loop(store, RATE, 0.5)
        without = await _open_loop(memory, RATE, seconds)
        before = server.calls()
        times = await _open_loop(store, RATE, seconds)
        round_trips.append((server.calls() - before) / len(times))
        p99.append(_percentile(times, 99))
        in_memory.append(_percentile(without, 99))
        p50.append(_percentile(times, 50))
        decisions.append(await _saturated(store, 1, seconds / 4))
        three.append(await _saturated(store, 4, seconds / 4))
    await store.aclose()
    report.rows += [
        Row(f"server: decision of four limits at {RATE:,} requests/s, p99", "ms", p99,
            at_most(1.0)),
        Row("… the same load on a store in memory, p99", "ms", in_memory),
        Row("… p50", "ms", p50),
        Row("… calls to the server per request", "", round_trips, at_most(1.01)),
        Row(f"server: decisions of one limit, {SATURATING} at a time", "per s", decisions),
        Row("… of four limits", "per s", three),
    ]


async def _outages(report: Report, server: Server, turns: int) -> None:
    for name, fault, mend in (
            ("killed", lambda: server.process.kill(), server.again),
            ("hung", lambda: server.process.send_signal(signal.SIGSTOP),
             lambda: server.process.send_signal(signal.SIGCONT))):
        longest, back = [], []
        for _ in range(turns):
            worst, seconds_back = await _away(server, fault, mend)
            longest.append(worst)
            back.append(seconds_back)
        report.rows += [
            Row(f"server {name} under load: longest decision", "ms", longest, at_most(5.0)),
            Row("… decided by it again, after it is back", "s", back),
        ]


async def _exactness(report: Report, server: Server, seconds: int) -> None:
    over, short = await _exact(server, seconds)
    report.rows += [
        Row("two processes, one server, bursty Zipf traffic: most admitted beyond rate and burst",
            "requests", [over], at_most(0.0)),
        Row("… least admitted to one who always asks, against its rate and burst", "requests",
            [short], at_least(-1.0)),
    ]


async def _store(server: Server, within: float, function: Function | None = None) -> ValkeyStore:
    store = ValkeyStore(Store(url=f"valkey://127.0.0.1:{server.port}", timeout=f"{within}s"),
                        f"bench-{os.getpid()}", function=function)
    await store.start()
    if store.away:
        raise RuntimeError("the server of limits is there, and the store did not come to it")
    return store


_LIMITS = [Limit(f"limit-{i}", unit, Per.ACCOUNT, 600, 0.0 if unit.held else 60.0, 100_000)
           for i, unit in enumerate((Unit.REQUESTS, Unit.REQUESTS, Unit.REQUESTS, Unit.BYTES))]


def _charges(many: int) -> Callable[[], tuple[Charge, ...]]:
    chosen = random.Random(1)

    def charges() -> tuple[Charge, ...]:
        key = f"acct_{chosen.randrange(100_000):012x}"
        return tuple(Charge(limit, key) for limit in _LIMITS[:many])

    return charges


async def _at(times: list[float], one: Callable[[float], Coroutine[Any, Any, None]]) -> None:
    """Start `one` at each of the given times, and wait for all."""
    running = set()
    for due in times:
        if (wait := due - perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.ensure_future(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


def _arrivals(rate: float, seconds: float) -> list[float]:
    chosen, now = random.Random(2), perf_counter() + 0.01
    end, times = now + seconds, []
    while now < end:
        now += chosen.expovariate(rate)
        times.append(now)
    return times


async def _open_loop(store: LimitStore, rate: float, seconds: float) -> list[float]:
    """Milliseconds from when each request was due to its decision."""
    found: list[float] = []
    charges = _charges(4)

    async def one(due: float) -> None:
        if store.take_now(chosen := charges()) is None:
            await store.take(chosen)
        found.append((perf_counter() - due) * 1e3)

    gc.collect()
    await _at(_arrivals(rate, seconds), one)
    return found


async def _saturated(store: ValkeyStore, many: int, seconds: float) -> float:
    charges, done = _charges(many), 0
    until = perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        while perf_counter() < until:
            await store.take(charges())
            done += 1

    await asyncio.gather(*(worker() for _ in range(SATURATING)))
    return done / seconds


async def _away(server: Server, fault: Callable[[], None],
                mend: Callable[[], None]) -> tuple[float, float]:
    """The longest decision in ms, with the time-out as shipped, and s until the server decides
    again."""
    store = await _store(server, 0.004)
    charges, longest = _charges(4), 0.0

    async def one(due: float) -> None:
        nonlocal longest
        started = perf_counter()
        if store.take_now(chosen := charges()) is None:
            await store.take(chosen)
        longest = max(longest, (perf_counter() - started) * 1e3)

    gc.collect()
    times = _arrivals(500, 2.0)
    load = asyncio.ensure_future(_at(times, one))
    await asyncio.sleep(0.3)
    fault()
    await load
    if not store.away:
        raise RuntimeError("the server is away, and the store has not noticed")
    await asyncio.to_thread(mend)
    mended = perf_counter()
    while store.away:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    back = perf_counter() - mended
    await store.aclose()
    return longest, back


async def _exact(server: Server, seconds: int) -> tuple[float, float]:
    """By a clock that is moved by hand, through two clients: (most that an account was admitted
    beyond what its limit allows, least that one who always asks was, against the same)."""
    text = shipped().source.decode().replace(shipped().take[-12:].decode(), "@DIGEST@")
    function = function_of(
        text.replace("redis.call('TIME')", f"{{0, redis.call('GET', '{CLOCK.decode()}')}}")
        .replace("math.ceil(us / 1000))", "math.ceil(us / 1000) + 1e13)"))
    start = 1_900_000_000_000_000
    server.command(b"SET", CLOCK, b"%d" % start)
    stores = [await _store(server, 5.0, function), await _store(server, 5.0, function)]
    limit = Limit("exact", Unit.REQUESTS, Per.ACCOUNT, 30, 60.0, 10)
    chosen, admitted = random.Random(3), dict.fromkeys(range(220), 0)
    ranks = range(20, 220)
    weights = [1 / (rank - 19) for rank in ranks]

    async def ask(account: int) -> None:
        # which of the two it comes to is any balancer's choice
        store = stores[zlib.crc32(b"%d %d" % (account, admitted[account])) % 2]
        outcome = await store.take((Charge(limit, f"account {account}"),))
        admitted[account] += isinstance(outcome, Taken)

    for second in range(seconds + 1):
        server_time = b"%d" % (start + second * 1_000_000)
        await stores[0]._session.ask("SET", CLOCK, server_time)
        burst = 40 if second % 10 == 0 else 8
        eager = [account for account in range(20) for _ in range(12 if not second else 2)]
        await asyncio.gather(*map(ask, [*eager, *chosen.choices(ranks, weights, k=burst)]))
    for store in stores:
        await store.aclose()
    allowed = limit.burst + seconds / limit.interval
    return (max(admitted.values()) - allowed,
            min(admitted[account] for account in range(20)) - allowed)


def _percentile(times: list[float], percent: float) -> float:
    return sorted(times)[int(len(times) * percent / 100)]
