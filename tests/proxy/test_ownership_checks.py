"""When proofs are looked for, what becomes of the answer, and what is not asked all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outbounds.core.account import Account, Standing
from outbounds.core.site_claims import FIRST_PAUSE, Proof, SiteClaim
from outbounds.evidence.client import EvidenceUnavailable
from outbounds.proxy import ownership_checks
from outbounds.proxy.owned_keeper import OwnedKeeper
from outbounds.proxy.ownership_checks import AT_ONCE, OwnershipChecks
from outbounds.proxy.ownership_proofs import OwnershipProofs
from outbounds.robotstxt.contract import Egress
from outbounds.robotstxt.ownership_file import (
    SitesFileError,
    add_claim,
    new_token,
    read_sites,
    remove_claim,
    sites_path,
)
from outbounds.settings.service import Dns
from wire.dns_server import DnsServer, texts

NOW = 1_800_000_000.0
CHECK, LAPSE = 1000.0, 3000.0


def claim_of(host: str, proof: Proof = Proof.DNS) -> SiteClaim:
    return SiteClaim("acme", host, proof, new_token(), NOW)


class Checked:
    """`answers` by host; what is not in there is found."""

    def __init__(self, data: Path) -> None:
        self.now = NOW
        self.asked: list[str] = []
        self.answers: dict[str, str] = {}
        self.during: Callable[[], object] = lambda: None
        self.faults: list[Exception] = []
        self.path = sites_path(data)
        self.keeper = OwnedKeeper(self.path, lambda: LAPSE, lambda sites: None,
                                  wall=lambda: self.now)
        self.checks = OwnershipChecks(
            self.path, self.keeper, self.look, check=lambda: CHECK, lapse=lambda: LAPSE,
            fault=lambda place, fault: self.faults.append(fault), wall=lambda: self.now)
        self.keeper.load()

    async def look(self, claim: SiteClaim) -> str:
        self.asked.append(claim.host)
        self.during()
        return self.answers.get(claim.host, "")

    async def claim(self, *hosts: str) -> None:
        for host in hosts:
            add_claim(self.path, claim_of(host))
        await self.keeper.look()

    async def rounds(self) -> list[str]:
        """Who is asked until nobody is due."""
        self.asked.clear()
        while await self.checks.round():
            pass
        return self.asked.copy()


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    return Checked(tmp_path)


async def test_at_once_and_then_when_it_is_due(checked: Checked) -> None:
    await checked.claim("a.example", "b.example")
    checked.answers["b.example"] = "not there"
    assert await checked.rounds() == ["a.example", "b.example"]
    found, missed = read_sites(checked.path)
    assert (found.found, found.looked, found.failure) == (NOW, NOW, "")
    assert (missed.found, missed.looked, missed.failure) == (None, NOW, "not there")
    checked.now += FIRST_PAUSE - 0.1
    assert await checked.rounds() == []
    checked.now += 0.1
    assert await checked.rounds() == ["b.example"]
    checked.now = NOW + CHECK
    assert sorted(await checked.rounds()) == ["a.example", "b.example"]
    assert read_sites(checked.path)[1].failures == 3


async def test_what_is_asked_for_comes_first(checked: Checked) -> None:
    hosts = [f"n{number}.example" for number in range(2 * AT_ONCE)]
    await checked.claim(*hosts)
    assert not checked.checks.ask("acme", "other.example")
    assert not checked.checks.ask("zeta", hosts[-1])
    assert checked.checks.ask("acme", hosts[-1])
    assert await checked.rounds() == [hosts[-1], *hosts[:-1]]
    assert await checked.rounds() == []
    assert checked.checks.ask("acme", hosts[3])
    assert await checked.rounds() == [hosts[3]]


async def test_a_claim_that_is_removed_during_the_look(checked: Checked) -> None:
    await checked.claim("a.example")
    checked.during = lambda: remove_claim(checked.path, "acme", "a.example")
    assert await checked.rounds() == ["a.example"]
    assert checked.keeper.claims == () and read_sites(checked.path) == ()


async def test_what_a_site_says_fits_the_file(checked: Checked) -> None:
    """It is cut, and nothing of it moves a terminal."""
    await checked.claim("a.example")
    checked.answers["a.example"] = "\x1b[2J\n\u202e" + "ä" * 1000
    await checked.rounds()
    failure = read_sites(checked.path)[0].failure
    assert failure.startswith("%1B[2J%0A%E2%80%AEä") and len(failure.encode()) <= 400


async def test_nothing_is_asked_for_a_while_where_nothing_can_be_written(
        checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    await checked.claim("a.example")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    def fails(*_: object) -> None:
        raise failures.pop()

    failures = [SitesFileError("full"), RuntimeError("a fault"), SitesFileError("full")]
    monkeypatch.setattr(ownership_checks, "write_looks", fails)
    monkeypatch.setattr(ownership_checks, "asyncio", SimpleNamespace(
        sleep=sleep, gather=asyncio.gather, to_thread=asyncio.to_thread))
    with pytest.raises(asyncio.CancelledError):
        await checked.checks.watch()
    assert pauses == [ownership_checks.PAUSE] * 3
    assert len(checked.asked) == 3
    assert [str(each) for each in checked.faults] == ["a fault"]
    assert read_sites(checked.path)[0].found is None


# --- one look, by DNS ---------------------------------------------------------------------------


class Rows:
    """Where the records go."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.closed: list[dict[str, Any]] = []
        self.fails = False

    async def open_bare(self, action: str, **known: Any) -> str:
        if self.fails:
            raise EvidenceUnavailable("nobody writes")
        self.opened.append({"action": action, **known})
        return "record"

    def close(self, record: str, duration: float, **known: Any) -> None:
        self.closed.append(known)


def proofs(rows: Rows, server: DnsServer, account: Account | None) -> OwnershipProofs:
    runtime: Any = SimpleNamespace(
        recorder=rows, fault=lambda place, fault: None,
        settings=SimpleNamespace(service=SimpleNamespace(
            dns=Dns(servers=(server.address,), timeout="1s"))),
        gate=SimpleNamespace(resolver=None,
                             policy=SimpleNamespace(versions={"policy_version": "v"}),
                             identifier=SimpleNamespace(current=lambda given: account)))
    return OwnershipProofs(runtime, Egress())


ACME = Account("acme", "acme")


async def test_one_look_is_one_record() -> None:
    claim, rows = claim_of("a.test"), Rows()
    with DnsServer() as server:
        look = proofs(rows, server, ACME)
        assert await look(claim) == "_outbounds.a.test does not resolve: there is no such name."
        server.scripts["_outbounds.a.test"] = texts(f'"{claim_of("a.test").txt}"')
        assert await look(claim) == (
            "_outbounds.a.test has no TXT record with the token of this claim.")
        server.scripts["_outbounds.a.test"] = texts('"v=spf1 -all"', f'" {claim.txt} "')
        assert await look(claim) == ""
        server.scripts["_outbounds.a.test"] = texts(
            f'"{claim.txt}"', cnames=(("proofs.example", 60),))
        assert await look(claim) == ""
    assert [each["action"] for each in rows.opened] == ["ownership-check"] * 4
    assert rows.opened[0] == {"action": "ownership-check", "user_id": "acme",
                              "destination_domain": "a.test", "network_protocol": "dns",
                              "policy_version": "v"}
    assert [each["outcome"] for each in rows.closed] == ["failure", "failure", "success", "success"]


@pytest.mark.parametrize("account", [
    None, replace(ACME, standing=Standing.TERMINATED)], ids=["gone", "terminated"])
async def test_nobody_is_asked_for_an_account_that_is_gone(account: Account | None) -> None:
    rows = Rows()
    with DnsServer() as server:
        said = await proofs(rows, server, account)(claim_of("a.test"))
        assert server.queries == []
    assert said == "The account no longer exists, or was terminated." and rows.opened == []


async def test_nobody_is_asked_where_it_cannot_be_recorded() -> None:
    rows = Rows()
    rows.fails = True
    with DnsServer() as server:
        said = await proofs(rows, server, ACME)(claim_of("a.test"))
        assert server.queries == []
    assert said == "Nothing was asked: the check cannot be recorded."


async def test_a_fault_of_our_own_is_no_proof() -> None:
    rows = Rows()
    with DnsServer() as server:
        look = proofs(rows, server, ACME)
        look._rt.settings = None  # type: ignore[assignment]
        assert await look(claim_of("a.test")) == "A fault of the proxy's; its log has more."
    assert rows.closed == [{"reason": "broken off", "outcome": "failure"}]
