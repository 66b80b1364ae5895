"""One look-up against a real name server on loopback, kind, broken or hostile."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.rrset
import pytest

from outbounds.resolver import Found, Lookup, Outcome
from outbounds.resolver.lookup import MAX_ADDRESSES
from outbounds.resolver.name_servers import NameServers
from outbounds.resolver.transport import MAX_DATAGRAMS
from outbounds.settings.service import Dns
from wire.dns_server import DnsServer, Query, Script, late, silent
from wire.hostile_dns import (
    empty,
    endless,
    flood,
    half,
    looping,
    many,
    other_id,
    other_owner,
    other_question,
    pointing_at_itself,
    question_back,
)

GOOD = ["93.184.216.34", "2606:4700::1"]


@pytest.fixture(scope="module")
def running() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def server(running: DnsServer) -> DnsServer:
    running.names, running.scripts, running.ttl = {}, {}, 60
    running.queries.clear()
    return running


@pytest.fixture
def look_up(server: DnsServer, tmp_path: Path) -> Callable[..., Any]:
    """Look a name up; `servers` are asked before the running one, or `only` alone."""
    def asking(name: str = "a.test", *, servers: tuple[str, ...] = (), only: tuple[str, ...] = (),
               timeout: float = 1.0, hosts: str = "") -> Any:
        (tmp_path / "hosts").write_text(hosts)
        settings = Dns(servers=only or (*servers, server.address), timeout=f"{timeout:g}s")
        return Lookup(settings, hosts=tmp_path / "hosts")(name)
    return asking


def addresses(found: Found) -> set[str]:
    return {str(address) for address in found.addresses}


def closed_port() -> str:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


# --- what is asked --------------------------------------------------------------------------------


async def test_both_families_are_asked_at_once_as_resolvers_do_today(
        server: DnsServer, look_up: Any) -> None:
    server.names["a.test"] = GOOD
    found = await look_up()
    assert addresses(found) == set(GOOD)
    assert (found.ttl, found.outcome) == (60, Outcome.ANSWERED)
    assert sorted(query.kind for query in server.queries) == ["A", "AAAA"]
    for query in server.queries:
        assert query.message.edns == 0 and query.message.payload == 1232
        assert len(query.message.question) == 1
    ids = {query.message.id for query in server.queries}
    assert len(ids) == 2


async def test_families_are_asked_in_parallel(server: DnsServer, look_up: Any) -> None:
    server.scripts["a.test"] = late(0.3, GOOD)
    started = time.monotonic()
    assert addresses(await look_up()) == set(GOOD)
    assert time.monotonic() - started < 0.55


async def test_a_name_is_asked_for_as_it_is(server: DnsServer, look_up: Any) -> None:
    """No search domain, no second try with one; dots or not."""
    for name in ("single", "two.labels"):
        assert (await look_up(name)).outcome is Outcome.NO_SUCH_NAME
    assert {query.name for query in server.queries} == {"single", "two.labels"}


async def test_local_names_are_asked_of_nobody(server: DnsServer, look_up: Any) -> None:
    hosts = "127.0.0.1 localhost\n192.0.2.9 printer.example\n"
    assert addresses(await look_up("localhost", hosts=hosts)) == {"127.0.0.1"}
    assert addresses(await look_up("www.localhost", hosts=hosts)) == {"127.0.0.1"}
    found = await look_up("printer.example", hosts=hosts)
    assert (addresses(found), found.outcome) == ({"192.0.2.9"}, Outcome.LOCAL)
    assert server.queries == []


async def test_the_servers_of_the_system_are_asked_where_none_is_set(tmp_path: Path) -> None:
    """And when the file changes, the new one. 127.0.0.77 has no server: refused at once."""
    (tmp_path / "hosts").write_text("")
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.77\n")
    look_up = Lookup(Dns(timeout="1s"), hosts=tmp_path / "hosts", resolv_conf=conf)
    assert (await look_up("a.test")).outcome is Outcome.FAILED
    conf.write_text("nameserver 127.0.0.77\nnameserver 127.0.0.78\n")
    servers = NameServers(Dns(), resolv_conf=conf)
    assert await servers.addresses() == (("127.0.0.77", 53), ("127.0.0.78", 53))
    conf.write_text("nameserver 127.0.0.79\n")
    assert await servers.addresses() == (("127.0.0.79", 53),)


# --- what is answered -----------------------------------------------------------------------------


async def test_the_lowest_ttl_of_a_chain_counts(server: DnsServer, look_up: Any) -> None:
    def script(query: Query) -> Any:
        return [query.answer(GOOD, 300, cnames=[("b.test", 900), ("c.test", 7)])]
    server.scripts["a.test"] = script
    found = await look_up()
    assert (addresses(found), found.ttl) == (set(GOOD), 7)


async def test_the_lower_ttl_of_the_families_counts(server: DnsServer, look_up: Any) -> None:
    server.scripts["a.test"] = lambda q: [q.answer(GOOD, 300 if q.kind == "A" else 20)]
    assert (await look_up()).ttl == 20


@pytest.mark.parametrize(("rcode", "cnames", "outcome", "detail", "ttl"), [
    ("NXDOMAIN", (), Outcome.NO_SUCH_NAME, "a.test does not resolve: there is no such name.", 33),
    ("NOERROR", (), Outcome.NO_ADDRESS, "a.test has no addresses.", 33),
    # RFC 2308 section 2.1: the rcode is that of the end of the chain
    ("NXDOMAIN", [("b.test", 4)], Outcome.NO_SUCH_NAME,
     "a.test does not resolve: there is no such name.", 4),
    ("NOERROR", [("b.test", 4)], Outcome.NO_ADDRESS, "a.test has no addresses.", 4),
])
async def test_what_does_not_exist(server: DnsServer, look_up: Any, rcode: str, cnames: Any,
                                   outcome: Outcome, detail: str, ttl: int) -> None:
    """RFC 2308 section 5: the lower of the SOA's TTL and its minimum field."""
    server.scripts["a.test"] = lambda q: [q.answer(rcode=rcode, cnames=cnames, negative_ttl=33)]
    assert await look_up() == Found((), ttl, outcome, detail)


HALF = [
    # (answer of the A query, of the AAAA query, outcome together)
    ("good", "nodata", Outcome.ANSWERED),
    ("good", "NXDOMAIN", Outcome.ANSWERED),  # RFC 4074 section 4.2
    ("NXDOMAIN", "good", Outcome.ANSWERED),
    ("good", "SERVFAIL", Outcome.PARTIAL),
    ("good", "NOTIMP", Outcome.PARTIAL),
    ("good", "silence", Outcome.PARTIAL),  # RFC 4074 section 4.1
    ("silence", "good", Outcome.PARTIAL),
    ("nodata", "nodata", Outcome.NO_ADDRESS),
    ("nodata", "NXDOMAIN", Outcome.NO_ADDRESS),
    # the family that failed may have addresses: this is no "no such name"
    ("nodata", "SERVFAIL", Outcome.FAILED),
    ("NXDOMAIN", "silence", Outcome.TIMED_OUT),
    ("SERVFAIL", "REFUSED", Outcome.FAILED),
    ("silence", "silence", Outcome.TIMED_OUT),
]


@pytest.mark.parametrize(("four", "six", "outcome"), HALF)
async def test_each_family_for_itself(server: DnsServer, look_up: Any, four: str, six: str,
                                      outcome: Outcome) -> None:
    def script(query: Query) -> Any:
        said = four if query.kind == "A" else six
        return {"good": lambda: [query.answer(GOOD, 60)], "silence": list,
                "nodata": lambda: [query.answer()]}.get(
                    said, lambda: [query.answer(rcode=said)])()
    server.scripts["a.test"] = script
    started = time.monotonic()
    found = await look_up()
    assert found.outcome is outcome
    assert len(found.addresses) == (four, six).count("good")
    # an answer is not held up by the family that has none
    assert time.monotonic() - started < (0.9 if found.addresses else 1.5)


# --- servers in turn ------------------------------------------------------------------------------


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
async def test_the_next_server_is_asked_where_one_fails(
        server: DnsServer, look_up: Any, rcode: str) -> None:
    server.names["a.test"] = GOOD
    with DnsServer() as bad:
        bad.scripts["a.test"] = lambda query: [query.answer(rcode=rcode)]
        assert (await look_up(servers=(bad.address,))).outcome is Outcome.ANSWERED
        assert bad.asked("a.test") == 1
        assert (await look_up(only=(bad.address,))).detail == (
            f"a.test does not resolve: its name servers failed ({rcode}).")


async def test_no_such_name_is_an_answer_and_not_asked_again(
        server: DnsServer, look_up: Any) -> None:
    with DnsServer() as first:
        assert (await look_up(servers=(first.address,))).outcome is Outcome.NO_SUCH_NAME
    assert server.queries == []


async def test_a_server_that_is_down_costs_no_time(server: DnsServer, look_up: Any) -> None:
    server.names["a.test"] = GOOD
    started = time.monotonic()
    found = await look_up(servers=(closed_port(), closed_port()), timeout=5.0)
    assert addresses(found) == set(GOOD)
    assert time.monotonic() - started < 1.0


async def test_a_server_that_is_silent_costs_its_share_of_the_time(
        server: DnsServer, look_up: Any) -> None:
    server.names["a.test"] = GOOD
    with DnsServer() as mute:
        mute.scripts["a.test"] = silent
        started = time.monotonic()
        found = await look_up(servers=(mute.address,), timeout=1.5)
    assert addresses(found) == set(GOOD)
    assert 0.4 < time.monotonic() - started < 1.2


async def test_a_lost_datagram_is_sent_again(server: DnsServer, look_up: Any) -> None:
    server.scripts["a.test"] = lambda query: [query.answer(GOOD)] if query.turn else []
    assert addresses(await look_up()) == set(GOOD)


# --- sizes ----------------------------------------------------------------------------------------


async def test_what_does_not_fit_a_datagram_is_asked_for_over_tcp(
        server: DnsServer, look_up: Any) -> None:
    def script(query: Query) -> Any:
        answer = query.answer(GOOD, 60)
        # padding that makes it more than 1232 octets
        answer.additional.append(dns.rrset.from_text(
            "pad.test.", 60, "IN", "TXT", " ".join(["x" * 250] * 5)))
        return [answer]
    server.scripts["a.test"] = script
    assert addresses(await look_up()) == set(GOOD)
    assert sorted(query.tcp for query in server.queries) == [False, False, True, True]


async def test_truncated_and_no_tcp_is_a_failure(look_up: Any) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.setblocking(False)

        async def truncate() -> None:
            loop = asyncio.get_running_loop()
            while True:
                wire, peer = await loop.sock_recvfrom(datagrams, 4096)
                await loop.sock_sendto(
                    datagrams, wire[:2] + b"\x87\x80" + wire[4:6] + bytes(6) + wire[12:], peer)

        task = asyncio.create_task(truncate())
        found = await look_up(only=(f"127.0.0.1:{datagrams.getsockname()[1]}",))
        task.cancel()
    assert found.outcome is Outcome.FAILED


async def test_the_most_addresses_that_are_looked_at(server: DnsServer, look_up: Any) -> None:
    for count, outcome in ((MAX_ADDRESSES, Outcome.ANSWERED), (MAX_ADDRESSES + 1, Outcome.FAILED)):
        server.names[f"a{count}.test"] = [f"8.8.{i}.8" for i in range(count)]
        assert (await look_up(f"a{count}.test")).outcome is outcome
    assert "65 addresses, which is more than the 64" in (await look_up("a65.test")).detail


# --- hostile --------------------------------------------------------------------------------------


HOSTILE: list[tuple[Script, tuple[Outcome, ...]]] = [
    (silent, (Outcome.TIMED_OUT,)),
    (late(1.3, GOOD), (Outcome.TIMED_OUT,)),
    (other_question, (Outcome.TIMED_OUT,)),
    (other_id, (Outcome.TIMED_OUT,)),
    (question_back, (Outcome.TIMED_OUT,)),
    (other_owner, (Outcome.NO_ADDRESS,)),
    (looping, (Outcome.FAILED,)),
    (endless, (Outcome.FAILED,)),
    (many, (Outcome.FAILED,)),
    (flood, (Outcome.FAILED, Outcome.TIMED_OUT)),
    (empty, (Outcome.TIMED_OUT,)),
    (half, (Outcome.TIMED_OUT,)),
    (pointing_at_itself, (Outcome.TIMED_OUT,)),
]


@pytest.mark.parametrize(("script", "outcomes"), HOSTILE)
async def test_a_hostile_server_costs_bounded_time_and_gives_nothing(
        server: DnsServer, look_up: Any, script: Script, outcomes: tuple[Outcome, ...],
        caplog: pytest.LogCaptureFixture) -> None:
    server.scripts["a.test"] = script
    started = time.monotonic()
    found = await look_up()
    assert found.outcome in outcomes and found.addresses == () and "a.test" in found.detail
    assert time.monotonic() - started < 1.5
    await asyncio.sleep(0.4)  # what comes after the time-out
    assert caplog.records == []


async def test_the_right_answer_after_forged_ones_is_taken(
        server: DnsServer, look_up: Any) -> None:
    """An answer to another question is ignored, not taken for the end of the attempt."""
    server.scripts["a.test"] = lambda query: [
        b"garbage", *other_question(query), *other_id(query), query.answer(GOOD, 60)]
    assert addresses(await look_up()) == set(GOOD)


async def test_somebody_who_guesses_has_few_guesses(server: DnsServer, look_up: Any) -> None:
    server.scripts["a.test"] = lambda query: [
        *other_id(query) * MAX_DATAGRAMS, query.answer(["6.6.6.6"], 60)]
    found = await look_up()
    assert found.addresses == () and found.outcome is Outcome.FAILED


@pytest.mark.parametrize(("ttl", "kept"), [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, 0),
                                           (2**32 - 1, 0)])
async def test_odd_ttls(server: DnsServer, look_up: Any, ttl: int, kept: int) -> None:
    """RFC 2181 section 8: a TTL with the highest bit set is 0."""
    def script(query: Query) -> Any:
        wire, mark = query.answer(GOOD, 1_234_567).to_wire(), (1_234_567).to_bytes(4)
        assert wire.count(mark) == 1
        return [wire.replace(mark, ttl.to_bytes(4))]
    server.scripts["a.test"] = script
    found = await look_up()
    assert (found.ttl, addresses(found)) == (kept, set(GOOD))


async def test_nobody_is_left_waiting_when_the_caller_leaves(
        server: DnsServer, look_up: Any) -> None:
    server.scripts["a.test"] = silent
    before = asyncio.all_tasks()
    task = asyncio.create_task(look_up())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


async def test_the_loop_is_never_held(server: DnsServer, look_up: Any) -> None:
    """A look-up takes its time beside others; 16 KiB over TCP are refused unread."""
    server.scripts["a.test"] = many
    server.scripts["b.test"] = flood
    longest, last, ends = 0.0, time.monotonic(), time.monotonic() + 1.0
    looking = [asyncio.create_task(look_up(name)) for name in ("a.test", "b.test")]
    while time.monotonic() < ends:
        await asyncio.sleep(0.001)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    await asyncio.gather(*looking)
    assert longest < 0.25  # on a busy machine; unbounded it would be the whole second


async def test_addresses_of_the_settings() -> None:
    servers = NameServers(Dns(servers=("192.0.2.53:53", "[2001:db8::53]:5353")))
    assert await servers.addresses() == (("192.0.2.53", 53), ("2001:db8::53", 5353))
