"""The decision alone, with warm caches, for few and for many accounts.

Every part is the real one and answers as in traffic; only what they once had to wait for (the
password check, the look-up, the robots.txt) has been asked before the clock runs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt

from outbounds.core.case import Case
from outbounds.core.destination import parse_host
from outbounds.core.limits import Charge, Per
from outbounds.core.policy import decide
from outbounds.core.questions import (
    AddressesOf,
    JudgeRobots,
    RobotsOf,
    Take,
    TargetCharges,
    WhoIs,
)
from outbounds.core.request import Credentials, Name, Request, Source, Way
from outbounds.core.verdict import Result
from outbounds.identity.accounts_file import AccountsFile
from outbounds.identity.verifier import Identifier
from outbounds.proxy.gate import Gate
from outbounds.proxy.metrics import Metrics
from outbounds.proxy.reload import read_settings
from outbounds.resolver import Found, Outcome, Resolver
from outbounds.robotstxt import RobotsCache
from outbounds.robotstxt.fetch import Fetched
from outbounds.settings.service import Dns
from outbounds.stores.memory import MemoryStore

from .origin import FILES
from .report import Row, at_most, ratio
from .setting import PASSWORD, configuration
from .turns import interleaved, microseconds

FEW, MANY = 10, 100_000
ACTIVE = 1_000  # accounts that send requests; their proofs are held
HOSTS = 50

METHOD = f"""\
The decision: one process, one core, {HOSTS} hosts; the requests of at most {ACTIVE:,} accounts in \
turn, of {FEW} and of {MANY:,} in the accounts file and in the limit store. "decide" is \
core.policy.decide, answered by the real parts from what they hold; "judge" is the gate that the \
hooks call, with the look for changed accounts and the metrics."""


async def _look_up(name: str) -> Found:
    return Found((ipaddress.ip_address("93.184.215.14"),), 86_400.0, Outcome.ANSWERED)


class _Robots:
    async def fetch(self, origin: object, account_id: str, client: str,
                    known: object) -> Fetched:
        return Fetched(200, FILES["/robots.txt"].encode(), "text/plain", 86_400.0)


class Parts:
    """What answers a decision's questions, with `count` accounts, in `folder`."""

    def __init__(self, folder: Path, count: int) -> None:
        self.settings = read_settings(configuration(folder / "config", 80))
        self.accounts = AccountsFile(folder / "accounts.db")
        # the cheapest hash there is: its check is not what is measured
        made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        with self.accounts.transaction():
            ids = [self.accounts.add(f"customer{number}", made, now=time.time()).id
                   for number in range(count)]
        self.identifier = Identifier([self.accounts])
        self.resolver = Resolver(Dns(ttl_ceiling="1day"), _look_up)
        self.robots = RobotsCache(_Robots())  # type: ignore[arg-type]
        self.store = MemoryStore()
        self.gate = Gate(self.settings.policy, self.identifier, self.resolver, self.robots,
                         self.store, Metrics())
        self.requests = [_request(number, count) for number in range(ACTIVE)]
        self._ids = ids

    async def warm(self) -> None:
        """Ask everything once; and let every account have sent something."""
        for request in self.requests:
            case = await self.gate.judge(request)
            if case.verdict.result is not Result.ALLOW:
                raise RuntimeError(f"not allowed: {case.verdict}")
            self._over(case)
        limit = next(charge.limit for charge in case.charges if charge.limit.per is Per.ACCOUNT)
        for account_id in self._ids:
            self.store.take_now((Charge(limit, account_id),))

    def decide(self, request: Request) -> Case:
        asking = decide(request, self.settings.policy, 1_800_000_000.0)
        answers: dict[type, Callable[[Any], Any]] = {
            WhoIs: lambda q: self.identifier.identify_now(q.credentials, q.source.ip),
            AddressesOf: lambda q: self.resolver.peek(q.host),
            RobotsOf: lambda q: self.robots.peek(q.origin),
            JudgeRobots: lambda q: self.gate.engine.judge_now(q),
            TargetCharges: lambda q: self.gate.health.charges(q.host, q.tunnel),
            Take: lambda q: self.gate.pacer.take_now(q),
        }
        try:
            question = next(asking)
            while True:
                question = asking.send(answers[type(question)](question))
        except StopIteration as stop:
            return self._over(stop.value)

    def judge(self, request: Request) -> Case:
        """The gate, which must not give up the loop where everything is at hand."""
        try:
            self.gate.judge(request).send(None)
        except StopIteration as stop:
            return self._over(stop.value)
        raise RuntimeError("an answer was not at hand")

    def _over(self, case: Case) -> Case:
        """The request has ended: its place among those under way is given back."""
        self.gate.pacer.release(case.charges)
        return case

    def close(self) -> None:
        self.identifier.close()
        self.resolver.close()
        self.accounts.close()


def _request(number: int, accounts: int) -> Request:
    # spread over the file, not the first that were made
    customer = number % min(ACTIVE, accounts) * max(1, accounts // ACTIVE)
    host = parse_host(f"www.shop{number % HOSTS}.example")
    return Request(
        Way.PLAIN, "GET", "http", host, 80, "/page/one?id=5", Source("192.0.2.7", 51234, "c"),
        user_agent="ExampleFetcher/1.0 (+https://fetcher.example/about)",
        credentials=Credentials(f"customer{customer}", PASSWORD),
        names=(Name("Host", host, None),))


def rows(turns: int) -> list[Row]:
    return asyncio.run(_rows(turns))


async def _rows(turns: int) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="outbounds-bench-"))
    try:
        few, many = (Parts(_made(folder / str(count)), count) for count in (FEW, MANY))
        with closing(few), closing(many):
            for parts in (few, many):
                await parts.warm()
            repeated = {id(parts): parts.requests * 10 for parts in (few, many)}
            found = interleaved({
                f"{name}, {count:,} accounts": microseconds(
                    getattr(parts, name), repeated[id(parts)])
                for name in ("decide", "judge") for parts, count in ((few, FEW), (many, MANY))
            }, turns)
            for parts in (few, many):
                if parts.decide(parts.requests[0]).verdict.result is not Result.ALLOW:
                    raise RuntimeError("not allowed at the end")
    finally:
        shutil.rmtree(folder)
    rows = [Row(name, "µs", figures, at_most(40.0)) for name, figures in found.items()]
    rows += [ratio(f"{name}, {MANY:,} ÷ {FEW} accounts", found[f"{name}, {MANY:,} accounts"],
                   found[f"{name}, {FEW:,} accounts"], at_most(1.2))
             for name in ("decide", "judge")]
    return rows


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
