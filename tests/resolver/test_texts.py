"""TXT records of a real name server on loopback, kind, broken or hostile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.message
import dns.rrset
import pytest

from outbounds.resolver import Outcome, Texts, look_up_texts
from outbounds.settings.service import Dns
from wire.dns_server import DnsServer, Query, silent, texts
from wire.hostile_dns import flood, half, other_id, other_owner, other_question, pointing_at_itself

NAME = "_outbounds.a.test"


@pytest.fixture(scope="module")
def running() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def server(running: DnsServer) -> DnsServer:
    running.names, running.scripts, running.ttl = {}, {}, 60
    running.queries.clear()
    return running


async def look_up(server: DnsServer, *servers: str) -> Texts:
    return await look_up_texts(Dns(servers=(*servers, server.address), timeout="1s"), NAME)


@pytest.mark.parametrize(("records", "found"), [
    (['"outbounds-site=1"'], [b"outbounds-site=1"]),
    (['"outbounds-" "site=1"'], [b"outbounds-site=1"]),  # RFC 7208 section 3.3
    (['"v=spf1 -all"', '"outbounds-site=1"'], [b"v=spf1 -all", b"outbounds-site=1"]),
    ([r'"\255\000"'], [b"\xff\x00"]),
    (['""'], [b""]),
], ids=["one", "two strings", "two records", "any octets", "empty"])
async def test_what_stands_there(server: DnsServer, records: list[str],
                                 found: list[bytes]) -> None:
    server.scripts[NAME] = texts(*records)
    answer = await look_up(server)
    assert (sorted(answer.texts), answer.outcome) == (sorted(found), Outcome.ANSWERED)
    assert [query.kind for query in server.queries] == ["TXT"]


async def test_an_alias_is_followed(server: DnsServer) -> None:
    server.scripts[NAME] = texts('"x"', cnames=(("keys.b.test", 60),))
    assert (await look_up(server)).texts == (b"x",)


async def test_nothing_is_remembered(server: DnsServer) -> None:
    server.scripts[NAME] = texts('"x"')
    await look_up(server)
    del server.scripts[NAME]
    assert (await look_up(server)).outcome is Outcome.NO_SUCH_NAME


async def test_what_is_not_there(server: DnsServer) -> None:
    assert await look_up(server) == Texts(
        (), Outcome.NO_SUCH_NAME, f"{NAME} does not resolve: there is no such name.")
    server.scripts[NAME] = lambda query: [query.answer(negative_ttl=60)]
    assert await look_up(server) == Texts((), Outcome.NO_ADDRESS, f"{NAME} has no TXT record.")


def another_owner(query: Query) -> list[dns.message.Message]:
    """A record of a name that nobody asked for, in the answer to one that was asked for."""
    reply = query.answer()
    reply.answer.append(dns.rrset.from_text("_outbounds.b.test.", 60, "IN", "TXT", '"x"'))
    return [reply]


@pytest.mark.parametrize("script", [
    silent, flood, half, other_id, other_owner, other_question, pointing_at_itself, another_owner,
    lambda query: [query.answer(rcode="SERVFAIL")], lambda query: [query.answer(rcode="REFUSED")],
], ids=["silent", "flood", "half", "other id", "other owner", "other question", "loop",
        "another owner", "SERVFAIL", "REFUSED"])
async def test_nothing_is_found_where_the_server_fails(server: DnsServer, script: Any) -> None:
    server.scripts[NAME] = script
    answer = await look_up(server)
    assert answer.texts == () and answer.detail
    assert answer.outcome is not Outcome.ANSWERED


async def test_another_server_may_answer(server: DnsServer) -> None:
    server.scripts[NAME] = texts('"x"')
    assert (await look_up(server, "127.0.0.77:53")).texts == (b"x",)


async def test_more_than_a_datagram_comes_by_stream(server: DnsServer) -> None:
    server.scripts[NAME] = texts(*(f'"{number:0200}"' for number in range(12)))
    answer = await look_up(server)
    assert len(answer.texts) == 12
    assert [query.tcp for query in server.queries] == [False, True]
