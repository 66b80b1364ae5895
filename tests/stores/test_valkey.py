"""The store on a server, beyond the contract: two machines, one round trip, what a server forgets,
what it lets expire, how it is asked for, and who may."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from server import Relay, Server
from store_scenario import ask, hosts, octets, per_second, quota, tunnels, visit
from valkey_setting import (
    connected,
    decide,
    edge_of,
    namespace,
    needs_server,
    settle,
    shared_server,
)

from outbounds.core.limits import Charge, Exceeded, Taken
from outbounds.settings.calendar import Calendar, Every
from outbounds.settings.service import Store
from outbounds.stores import StoreFull
from outbounds.stores.valkey import ValkeyStore, joining, session
from outbounds.stores.valkey import store as store_module
from outbounds.stores.valkey.keyspace import Keyspace
from wire.harness import wait_until

__all__ = ["shared_server"]
pytestmark = needs_server

DAY = Calendar(Every.DAY)
HOUR_LONG = per_second("long", 50, 50, window=36_000.0)


async def admitted(store: ValkeyStore, charges: Any, tries: int) -> int:
    return sum([isinstance(each, Taken) for each in await asyncio.gather(
        *(decide(store, charges) for _ in range(tries)))])


# --- several processes ----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [HOUR_LONG, quota(50, DAY), tunnels(50)],
                         ids=["rate", "quota", "held"])
async def test_two_machines_together_are_let_through_no_more_than_one(
        shared_server: Server, limit: Any) -> None:
    name = namespace()
    async with connected(shared_server.url, name) as one, \
            connected(shared_server.url, name, instance="b") as other:
        found = await asyncio.gather(*(admitted(each, ask(limit), 40)
                                       for each in (one, other, one, other)))
        assert sum(found) == 50


async def test_two_installations_do_not_know_of_each_other(shared_server: Server) -> None:
    async with connected(shared_server.url, namespace()) as one, \
            connected(shared_server.url, namespace()) as other:
        assert await admitted(one, ask(HOUR_LONG), 60) == 50
        assert await admitted(other, ask(HOUR_LONG), 60) == 50


async def test_what_a_process_held_comes_free_when_it_leaves(shared_server: Server) -> None:
    name, limit = namespace(), tunnels(3)
    async with connected(shared_server.url, name) as stays:
        async with connected(shared_server.url, name) as leaves:
            assert await admitted(leaves, ask(limit), 3) == 3
            assert await admitted(stays, ask(limit), 1) == 0
        assert await admitted(stays, ask(limit), 5) == 3


async def test_a_process_without_a_heartbeat_holds_nothing(shared_server: Server) -> None:
    """As one that was killed: its name is there, and has not been seen for longer than LEASE."""
    name, limit = namespace(), tunnels(3)
    beats = Keyspace(name).beats
    async with connected(shared_server.url, name) as lives:
        with shared_server.admin() as admin:
            now = int(admin.time()[0]) * 10**6
            admin.zadd(beats, {"dead": now - 31 * 10**6, "silent": now - 20 * 10**6})
            admin.hset(Keyspace(name).held("tunnels\na"), mapping={"dead": 2, "silent": 1})
            assert await admitted(lives, ask(limit), 5) == 2
            assert b"dead" not in admin.hkeys(Keyspace(name).held("tunnels\na"))


async def test_it_knows_how_many_share(shared_server: Server,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "BEAT", 0.0)
    name = namespace()
    async with connected(shared_server.url, name) as one, \
            connected(shared_server.url, name), connected(shared_server.url, name):
        await until(lambda: one._session.traffic.instances == 3)


async def until(condition: Any, seconds: float = 20.0) -> None:
    await asyncio.to_thread(wait_until, condition, seconds)


# --- one function, one round trip ----------------------------------------------------------------


async def test_a_request_is_one_call_however_many_limits(shared_server: Server) -> None:
    limits = [per_second(f"l{i}", 10, 10) for i in range(60)]
    charges = (*ask(*limits), *ask(quota(9, DAY), tunnels(9)), *visit(hosts(9), "a.example"))
    async with connected(shared_server.url, namespace()) as store:
        before = shared_server.calls("fcall")
        for _ in range(5):
            assert isinstance(await decide(store, charges), Taken)
        assert shared_server.calls("fcall") == before + 5


async def test_what_one_tick_asks_is_one_write(shared_server: Server,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(shared_server.url, namespace()) as store:
        link = store._session._link
        assert link is not None
        writes: list[int] = []
        original = link.send

        def send(commands: bytes, on_replies: list[Any]) -> None:
            writes.append(len(on_replies))
            original(commands, on_replies)

        monkeypatch.setattr(link, "send", send)
        await asyncio.gather(*(decide(store, ask(HOUR_LONG)) for _ in range(30)))
        assert writes == [30]
        for _ in range(100):  # of the same state: added up
            store.debit(ask(octets("down", 10**6, 10**6), cost=10))
        await settle(store)
        assert writes[1] == 1
        assert (await store.live("a"))[-1].ahead > 0


async def test_posts_keep_their_place_among_takes(shared_server: Server) -> None:
    """What was held is free for the request that comes after its release, in the same tick."""
    limit = ask(tunnels(1))
    async with connected(shared_server.url, namespace()) as store:
        assert await decide(store, limit) == Taken()
        for _ in range(20):
            store.release(limit)
            outcomes = await asyncio.gather(decide(store, limit), decide(store, limit))
            assert [isinstance(each, Taken) for each in outcomes] == [True, False]


async def test_up_and_down_within_one_tick_leaves_what_is_held(shared_server: Server) -> None:
    limit = ask(tunnels(5))
    async with connected(shared_server.url, namespace()) as store:
        assert await admitted(store, limit, 2) == 2
        store.release(limit)
        store._post(0, limit[0], 1)
        store._local.hold(limit)
        store.release(limit)
        await settle(store)
        assert [each.used for each in await store.live("a")] == [1]


async def test_a_debit_is_told_of_at_the_next(shared_server: Server) -> None:
    limit = octets("down", 1000, 1000)
    async with connected(shared_server.url, namespace()) as store:
        assert store.debit(ask(limit, cost=61_000)) is None
        await settle(store)
        over = store.debit(ask(limit, cost=1))
        assert isinstance(over, Exceeded) and 50.0 < (over.retry_after or 0.0) <= 60.0
        assert over.state.unit == "content-bytes"
        assert store.debit(ask(limit, key="somebody else", cost=1)) is None
        await store.reset("a")
        assert store.debit(ask(limit, cost=1)) is None
        await settle(store)
        assert edge_of(store, ask(limit)) is None


@pytest.mark.parametrize("key", [
    "a" * 100_000, "äöü 大", "\r\n*1\r\n$4\r\nPING\r\n", "}{", "\0\x01\udcff", "",
    "acct *?[a-z]\\ {x}"],
    ids=["long", "unicode", "protocol", "braces", "no text", "empty", "glob"])
async def test_any_text_is_a_key(shared_server: Server, key: str) -> None:
    limit = per_second("x", 1, 2, window=1000.0)
    async with connected(shared_server.url, namespace()) as store:
        charges = (*ask(limit, quota(2, DAY), tunnels(2), key=key),
                   *visit(hosts(2), "h.example", key=key))
        assert await admitted(store, charges, 5) == 2
        assert len(await store.live(key)) == 4
        assert await store.reset(key) == 3
        assert [each.limit_id for each in await store.live(key)] == ["tunnels"]
        assert await decide(store, ask(limit, key="an" + key)) == Taken()


def test_every_key_of_a_namespace_lies_in_one_slot() -> None:
    keys = Keyspace("outbounds")
    charges = [Charge(HOUR_LONG, f"acct{i} h{i}.example", member=f"{{{i}}}") for i in range(50)]
    names = [keys.beats]
    for charge in charges:
        names += [keys.rate(charge), keys.quota(charge, 1.8e9), keys.visit(charge),
                  keys.held(f"tunnels\n{charge.key}")]
    assert {key_slot(name) for name in names} == {key_slot(b"outbounds")}
    assert len(set(names)) == len(names)


async def test_the_function_touches_no_key_that_it_was_not_told_of() -> None:
    """In a cluster, one that is not declared is refused."""
    server = Server("cluster-enabled yes").start()
    try:
        with server.admin() as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            await until(lambda: b"cluster_state:ok" in admin.execute_command("CLUSTER", "INFO")
                        if isinstance(admin.execute_command("CLUSTER", "INFO"), bytes)
                        else admin.execute_command("CLUSTER", "INFO")["cluster_state"] == "ok")
        async with connected(server.url, namespace()) as store:
            charges = (*ask(HOUR_LONG, quota(9, DAY), tunnels(9)), *visit(hosts(9), "h.example"))
            assert await decide(store, charges) == Taken()
            store.give_back(charges)
            store.debit(charges[:2])
            await settle(store)
            assert not store.away
    finally:
        server.close()


async def test_no_key_stays_for_ever(shared_server: Server) -> None:
    name = namespace()
    async with connected(shared_server.url, name) as store:
        await decide(store, (*ask(HOUR_LONG, quota(9, DAY), tunnels(9)),
                             *visit(hosts(9), "h.example"), *visit(hosts(9, calendar=DAY), "i")))
        store.debit(ask(octets("down", 10, 10), cost=100))
        store.hold_off(ask(per_second("pause"))[0], 60.0)
        await settle(store)
        with shared_server.admin() as admin:
            left = {key: admin.pttl(key) for key in admin.scan_iter(f"{{{name}}}:*")}
        kinds = Counter(key.split(b":")[1][:1] for key in left)
        assert kinds == {b"r": 4, b"q": 2, b"h": 1, b"m": 2, b"b": 1}
        assert all(0 < each <= 86_400_000 for each in left.values()), left


async def test_a_key_goes_when_its_debt_is_paid(shared_server: Server) -> None:
    name = namespace()
    async with connected(shared_server.url, name) as store:
        await decide(store, ask(per_second("x", 100, 1)))
        with shared_server.admin() as admin:
            await until(lambda: not admin.exists(Keyspace(name).rate(ask(per_second("x"))[0])))


async def test_what_is_held_for_long_is_kept_from_expiring(
        shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    name, limit = namespace(), ask(tunnels(9))
    monkeypatch.setattr(session, "BEAT", 0.0)
    async with connected(shared_server.url, name) as store:
        await decide(store, limit)
        with shared_server.admin() as admin:
            key = Keyspace(name).held("tunnels\na")
            admin.pexpire(key, 100_000)
            await until(lambda: admin.pttl(key) > 3_000_000)


# --- a server that forgets ------------------------------------------------------------------------


async def test_a_function_that_is_gone_is_loaded_again(
        shared_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    outcomes: Counter[str] = Counter()
    async with connected(shared_server.url, namespace(),
                         count=lambda outcome: outcomes.update([outcome])) as store:
        with caplog.at_level(logging.WARNING), shared_server.admin() as admin:
            for _ in range(5):
                admin.function_flush("SYNC")
                assert await admitted(store, ask(HOUR_LONG), 10) == 10
        assert await admitted(store, ask(HOUR_LONG), 10) == 0  # none was counted twice, or not
        assert set(outcomes) == {"server"} and not caplog.records


async def test_what_is_held_is_told_again_to_a_server_that_was_emptied(
        shared_server: Server) -> None:
    server = Server().start()  # of its own: it is emptied
    try:
        name, limit = namespace(), ask(tunnels(5))
        async with connected(server.url, name) as one, connected(server.url, name) as other:
            assert await admitted(one, limit, 2) == 2
            assert await admitted(other, limit, 2) == 2
            with server.admin() as admin:
                admin.flushall()
            # each finds out when it next asks
            assert isinstance(await decide(one, ask(HOUR_LONG)), Taken)
            assert isinstance(await decide(other, ask(HOUR_LONG)), Taken)
            assert await admitted(one, limit, 5) == 1
            one.release(limit)
            await settle(one)
            assert await admitted(other, limit, 5) == 1
    finally:
        server.close()


async def test_much_is_told_again_in_steps(shared_server: Server) -> None:
    limit, keys = tunnels(2), [f"k{i}" for i in range(1200)]
    name = namespace()
    async with connected(shared_server.url, name) as store:
        for key in keys:
            await decide(store, ask(limit, key=key))
        with shared_server.admin() as admin:
            for key in admin.scan_iter(f"{{{name}}}:*"):
                admin.unlink(key)
        assert isinstance(await decide(store, ask(HOUR_LONG)), Taken)
        await settle(store)
        with shared_server.admin() as admin:
            assert len(list(admin.scan_iter(f"{{{name}}}:h:*", 1000))) == 1200


# --- a server that is full, or wrong --------------------------------------------------------------


async def test_a_server_that_would_drop_debts_is_warned_of(
        caplog: pytest.LogCaptureFixture) -> None:
    server = Server("maxmemory 50mb", "maxmemory-policy volatile-ttl").start()
    try:
        async with connected(server.url, namespace()):
            said = [each.getMessage() for each in caplog.records]
            assert len(said) == 1 and "volatile-ttl" in said[0] and "noeviction" in said[0]
    finally:
        server.close()


async def test_a_full_server_refuses_and_still_takes_what_is_given_back() -> None:
    server = Server().start()
    try:
        async with connected(server.url, namespace()) as store:
            assert await admitted(store, ask(tunnels(1)), 1) == 1
            with server.admin() as admin:
                admin.config_set("maxmemory", "1")
                with pytest.raises(StoreFull, match="maxmemory"):
                    await decide(store, ask(HOUR_LONG))
                store.release(ask(tunnels(1)))
                await settle(store)
                admin.config_set("maxmemory", "0")
            assert not store.away
            assert await admitted(store, ask(tunnels(1)), 1) == 1
    finally:
        server.close()


async def test_a_key_that_somebody_else_wrote_stops_one_request_only(
        shared_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    name, outcomes = namespace(), Counter[str]()
    async with connected(shared_server.url, name,
                         count=lambda outcome: outcomes.update([outcome])) as store:
        with shared_server.admin() as admin:
            admin.set(Keyspace(name).rate(ask(HOUR_LONG)[0]), "x")
        for _ in range(3):  # by when_away: here, at this process's share
            assert isinstance(await decide(store, ask(HOUR_LONG)), Taken)
        assert isinstance(await decide(store, ask(HOUR_LONG, key="b")), Taken)
        assert outcomes == {"fault": 3, "server": 1} and not store.away
        assert len(caplog.records) == 1


# --- who may --------------------------------------------------------------------------------------

RIGHTS = ("~{test-acl}:* +fcall +function|load +info +scan +select +time +get +set +mget +unlink "
          "+hgetall +hincrby +hdel +pexpire +zadd +zrem +zscore +zmscore +zcard +zremrangebyscore")


async def test_a_user_with_the_least_rights(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("s3cret word\n")
    server = Server(f"user limits on >{'s3cret#'} {RIGHTS}", "user default off").start()
    try:
        password.write_text("s3cret#\nnot this line\n")
        url = server.url.replace("//", "//limits@")
        store = ValkeyStore(Store.model_construct(
            url=url, password_file=password, timeout=1.0, namespace="test-acl",
            max_keys=1024), "a")
        try:
            await store.start()
            assert not store.away
            charges = (*ask(HOUR_LONG, quota(9, DAY), tunnels(9)), *visit(hosts(9), "h.example"))
            assert await decide(store, charges) == Taken()
            store.release(charges)
            assert len(await store.live("a")) == 3
            assert await store.reset("a") == 3
            assert not store.away
        finally:
            await store.aclose()
    finally:
        server.close()


@pytest.mark.parametrize(("options", "user", "password", "said"), [
    (["requirepass right"], "", "wrong#secret", "mend store.password_file"),
    (["requirepass right"], "", "", "store.password_file"),
    ([], "", "wrong#secret", "leave that out"),
    (["user u on >wrong#secret ~* +info"], "u", "wrong#secret", "may not do what is needed"),
])
async def test_who_may_not_is_told_what_to_mend(
        tmp_path: Path, caplog: pytest.LogCaptureFixture, options: list[str], user: str,
        password: str, said: str) -> None:
    file = tmp_path / "password"
    file.write_text(password)
    server = Server(*options).start()
    try:
        url = server.url.replace("//", f"//{user}@") if user else server.url
        store = ValkeyStore(Store.model_construct(
            url=url, password_file=file if password else None, timeout=1.0, namespace="x",
            max_keys=1024), "a")
        try:
            await store.start()
            assert store.away
        finally:
            await store.aclose()
        text = [each.getMessage() for each in caplog.records]
        assert len(text) == 1 and said in text[0]
        assert "secret" not in caplog.text and str(server.port) in text[0]
    finally:
        server.close()


async def test_what_answers_there_is_no_such_server(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    store = ValkeyStore(Store(url=f"valkey://127.0.0.1:{port}"), "a")
    try:
        await store.start()
        assert store.away and "neither Valkey nor Redis" in caplog.text
    finally:
        await store.aclose()
        listener.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out",
                    str(certificate), "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return certificate, key


async def test_over_tls_the_certificate_is_checked(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = self_signed(tmp_path)
    server = Server(tls=(certificate, key)).start()
    try:
        store = ValkeyStore(Store(url=server.url), "a")
        await store.start()
        await store.aclose()
        assert store.away and "CERTIFICATE_VERIFY_FAILED" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with connected(server.url, namespace()) as trusting:
            assert await admitted(trusting, ask(HOUR_LONG), 60) == 50
    finally:
        server.close()


# --- a client that leaves -------------------------------------------------------------------------


async def test_a_client_that_leaves_while_it_waits_is_charged_nothing(
        shared_server: Server) -> None:
    relay, limits = Relay(shared_server.port), ask(HOUR_LONG, tunnels(50), quota(50, DAY))
    try:
        async with connected(relay.url, namespace(), within=5.0) as store:
            relay.delay = 0.2
            leaving = [asyncio.create_task(decide(store, limits)) for _ in range(20)]
            await asyncio.sleep(0.02)
            for each in leaving:
                each.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            relay.delay = 0.0
            await settle(store)
            assert await admitted(store, limits, 60) == 50
            assert len(store) == 1
    finally:
        relay.close()


def test_the_constants_fit_together() -> None:
    """What is held is renewed well before it expires, and a heartbeat may be missed twice."""
    function = Path(joining.__file__).with_name("function.lua").read_text()
    assert "LEASE = 30 * 1000000" in function and 3 * session.BEAT <= 30.0
    assert "HASH_LIFE = 3600000" in function
    assert store_module.RENEWALS * session.BEAT * 2 < 3600.0
