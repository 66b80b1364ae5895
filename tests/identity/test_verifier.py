"""Time is a list with one number; hashes are cheap; the checks themselves really run in threads."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest

from outbounds.core.account import Account, Standing, Unidentified
from outbounds.core.request import Credentials
from outbounds.identity import passwords
from outbounds.identity.accounts_file import AccountsFile, AccountsFileError
from outbounds.identity.attempts import AttemptLimits, FailureRate
from outbounds.identity.basic import MALFORMED
from outbounds.identity.htpasswd import Htpasswd
from outbounds.identity.networks import NetworkUse
from outbounds.identity.verifier import BUSY, LIMITED, NONE_SENT, WRONG, Identifier

NOW = 1_700_000_000.0
HOME, AWAY = "192.0.2.7", "198.51.100.9"
CHEAP = argon2.PasswordHasher(1, 8, 1)
HASH = CHEAP.hash("sesame")
RIGHT, WRONG_ONE, UNKNOWN = (Credentials("ada", "sesame"), Credentials("ada", "x"),
                             Credentials("nobody", "x"))


class Checks:
    """Counts the real password checks, and can hold them up."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self._begun = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self._verify = passwords.verify

    def __call__(self, password_hash: str, password: str) -> bool:
        assert threading.current_thread().name.startswith("password"), "on the event loop"
        self.hashes.append(password_hash)
        self._begun.set()
        assert self.go.wait(10)
        return self._verify(password_hash, password)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 10)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    counted = Checks()
    monkeypatch.setattr(passwords, "verify", counted)
    return counted


@pytest.fixture
def file(tmp_path: Path) -> Iterator[AccountsFile]:
    opened = AccountsFile(tmp_path / "accounts.db")
    opened.add("ada", HASH, now=NOW)
    yield opened
    opened.close()


Make = Callable[..., Identifier]


@pytest.fixture
def time() -> list[float]:
    return [0.0]


@pytest.fixture
def make(file: AccountsFile, time: list[float]) -> Iterator[Make]:
    made: list[Identifier] = []

    def build(*directories: Any, **options: Any) -> Identifier:
        made.append(Identifier(directories or (file,), clock=lambda: time[0], **options))
        return made[-1]

    yield build
    for one in made:
        one.close()


def ada(file: AccountsFile) -> Account:
    found = file.by_name("ada")
    assert found is not None
    return found[0]


async def test_slow_once_then_from_memory(make: Make, file: AccountsFile, checks: Checks) -> None:
    who = make()
    assert who.identify_now(RIGHT, HOME) is None
    assert await who.identify(RIGHT, HOME) == ada(file)
    assert who.identify_now(RIGHT, AWAY) == ada(file)
    assert await who.identify(RIGHT, AWAY) == ada(file)
    assert len(checks.hashes) == 1


async def test_memory_is_for_a_time(make: Make, checks: Checks, time: list[float]) -> None:
    who = make(cache_seconds=300.0)
    await who.identify(RIGHT, HOME)
    time[0] = 299.0
    assert who.identify_now(RIGHT, HOME) is not None
    time[0] = 300.0
    assert who.identify_now(RIGHT, HOME) is None


async def test_nothing_remembered_holds_the_password(make: Make) -> None:
    who = make()
    await who.identify(RIGHT, HOME)
    assert all(len(digest) == 16 for digest in who._proofs)
    assert make()._digest(RIGHT) != who._digest(RIGHT), "the key must not outlive the process"


@pytest.mark.parametrize("credentials", [WRONG_ONE, UNKNOWN, MALFORMED, Credentials("ada", ""),
                                         Credentials("", "sesame"), Credentials("a:b", "x"),
                                         Credentials("ada\0sesame", ""), Credentials("ADA", "x")])
async def test_every_failure_reads_the_same(make: Make, credentials: Credentials) -> None:
    who = make()
    await who.identify(RIGHT, HOME)
    assert await who.identify(credentials, HOME) == WRONG
    assert who.identify_now(credentials, HOME) in (None, WRONG)


async def test_none_sent(make: Make) -> None:
    who = make()
    assert who.identify_now(None, HOME) == NONE_SENT == await who.identify(None, HOME)


async def test_an_unknown_name_costs_the_same(make: Make, checks: Checks) -> None:
    who = make()
    await who.identify(WRONG_ONE, HOME)
    await who.identify(UNKNOWN, HOME)
    real, dummy = checks.hashes
    assert real == HASH and dummy != HASH
    assert dummy.rsplit("$", 2)[0] == HASH.rsplit("$", 2)[0] and len(dummy) == len(HASH)


async def test_dummies_follow_the_schemes_in_use(
    make: Make, tmp_path: Path, checks: Checks
) -> None:
    lines = [f"b{n}:{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}" for n in range(9)]
    (tmp_path / "h").write_text("\n".join([*lines, f"a:{HASH}"]))
    who = make(Htpasswd([(tmp_path / "h", "default")]))
    drawn = [who._dummies.of(f"n{n}", 0)[:7] for n in range(1_000)]
    assert 800 < drawn.count("$2b$04$") < 980  # nine in ten
    again = [who._dummies.of(f"n{n}", 1)[:7] for n in range(1_000)]
    assert drawn == again, "a name's class changes"


async def test_dummy_without_accounts(make: Make, tmp_path: Path) -> None:
    empty = AccountsFile(tmp_path / "empty.db")
    assert make(empty)._dummies.of("x", 0).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    empty.close()


# --- changes --------------------------------------------------------------------------------


async def test_a_suspension_is_seen_at_the_next_refresh(
    make: Make, file: AccountsFile, checks: Checks
) -> None:
    told: list[tuple[Account | None, str]] = []
    who = make(on_change=lambda account, account_id: told.append((account, account_id)))
    await who.identify(RIGHT, HOME)
    who.refresh()
    assert told == []
    file.set_standing(ada(file).id, Standing.SUSPENDED, "unpaid", now=NOW)
    who.refresh()
    assert told == [(ada(file), ada(file).id)]
    found = who.identify_now(RIGHT, HOME)
    assert isinstance(found, Account) and found.standing is Standing.SUSPENDED
    assert len(checks.hashes) == 1, "the same hash needs no second check"
    who.refresh()
    assert len(told) == 1


async def test_a_new_password_ends_the_old_one(make: Make, file: AccountsFile) -> None:
    who = make()
    await who.identify(RIGHT, HOME)
    file.set_password(ada(file).id, CHEAP.hash("new"), now=NOW)
    who.refresh()
    assert who.identify_now(RIGHT, HOME) is None
    assert await who.identify(RIGHT, HOME) == WRONG
    assert await who.identify(Credentials("ada", "new"), HOME) == ada(file)


async def test_a_removed_account_is_gone(make: Make, file: AccountsFile) -> None:
    told: list[tuple[Account | None, str]] = []
    who = make(on_change=lambda account, account_id: told.append((account, account_id)))
    gone = await who.identify(RIGHT, HOME)
    assert isinstance(gone, Account)
    file._db.execute("DELETE FROM accounts")
    who.refresh()
    assert told == [(None, gone.id)]
    assert who.identify_now(RIGHT, HOME) is None and await who.identify(RIGHT, HOME) == WRONG


async def test_a_password_changed_during_the_check(
    make: Make, file: AccountsFile, checks: Checks
) -> None:
    who = make()
    checks.go.clear()
    asked = asyncio.create_task(who.identify(RIGHT, HOME))
    await checks.begun()
    file.set_password(ada(file).id, CHEAP.hash("new"), now=NOW)
    who.refresh()
    checks.go.set()
    assert await asked == WRONG
    assert who.identify_now(RIGHT, HOME) is None


async def test_too_many_changes_ask_who_is_live(
    make: Make, file: AccountsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    who = make(on_change=lambda account, account_id: told.append(account_id),
               live=lambda: ["acct_open", ada(file).id])
    await who.identify(RIGHT, HOME)
    file.set_standing(ada(file).id, Standing.SUSPENDED, "", now=NOW)
    monkeypatch.setattr("outbounds.identity.accounts_file.TOO_MANY", 0)
    who.refresh()
    assert told == ["acct_open", ada(file).id]
    found = who.identify_now(RIGHT, HOME)
    assert isinstance(found, Account) and found.standing is Standing.SUSPENDED


async def test_one_bad_callback_stops_no_other(
    make: Make, file: AccountsFile, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def on_change(account: Account | None, account_id: str) -> None:
        told.append(account_id)
        raise ZeroDivisionError

    who = make(on_change=on_change)
    first, second = (file.add(name, HASH, now=NOW).id for name in ("bob", "eve"))
    who.refresh()
    who.refresh()
    assert told == [first, second] and first in caplog.text


async def test_a_lost_file_identifies_nobody_and_is_said_once(
    make: Make, file: AccountsFile, caplog: pytest.LogCaptureFixture
) -> None:
    who = make()
    await who.identify(RIGHT, HOME)
    file.path.rename(file.path.with_name("x"))
    with caplog.at_level(logging.WARNING):
        watching = asyncio.create_task(who.watch(every=0.001))
        await asyncio.sleep(0.05)
        with pytest.raises(AccountsFileError):
            who.identify_now(RIGHT, HOME)
        with pytest.raises(AccountsFileError):
            await who.identify(UNKNOWN, HOME)
        file.path.with_name("x").rename(file.path)
        await asyncio.sleep(0.05)
        watching.cancel()
    assert who.identify_now(RIGHT, HOME) == ada(file)
    assert [r.getMessage().split(":")[0] for r in caplog.records] == [
        "changes to accounts are not seen", "changes to accounts are seen again"]


async def test_watch_sees_a_suspension(make: Make, file: AccountsFile) -> None:
    seen = asyncio.Event()
    who = make(on_change=lambda account, account_id: seen.set())
    watching = asyncio.create_task(who.watch(every=0.01))
    file.set_standing(ada(file).id, Standing.SUSPENDED, "", now=NOW)
    await asyncio.wait_for(seen.wait(), 5)
    watching.cancel()


async def test_a_fault_in_one_directory_hides_no_change_in_another(
    make: Make, file: AccountsFile, tmp_path: Path
) -> None:
    told: list[str] = []
    other = AccountsFile(tmp_path / "other.db")
    who = make(file, other, on_change=lambda account, account_id: told.append(account_id))
    bob = other.add("bob", HASH, now=NOW)
    file.path.unlink()
    with pytest.raises(AccountsFileError):
        who.refresh()
    assert told == [bob.id]
    other.close()


# --- many at once ---------------------------------------------------------------------------


async def test_one_check_for_all_who_ask_at_once(
    make: Make, file: AccountsFile, checks: Checks
) -> None:
    who = make()
    answers = await asyncio.gather(*(who.identify(RIGHT, f"192.0.2.{n}") for n in range(50)))
    assert answers == [ada(file)] * 50 and len(checks.hashes) == 1


async def test_who_hangs_up_takes_nobody_along(
    make: Make, file: AccountsFile, checks: Checks
) -> None:
    who = make()
    checks.go.clear()
    first, second = (asyncio.create_task(who.identify(RIGHT, HOME)) for _ in range(2))
    await checks.begun()
    first.cancel()
    await asyncio.sleep(0)
    checks.go.set()
    assert await second == ada(file)
    assert first.cancelled() and len(checks.hashes) == 1


async def test_the_queue_is_bounded_with_room_for_known_sources(
    make: Make, file: AccountsFile, checks: Checks, time: list[float]
) -> None:
    who = make(workers=1, queue=3)
    await who.identify(RIGHT, HOME)
    time[0] = 1_000.0  # forgotten, but HOME is known to use the name
    checks.go.clear()
    waiting = [asyncio.create_task(who.identify(Credentials(f"n{n}", "x"), f"203.0.113.{n}"))
               for n in range(10)]
    await asyncio.sleep(0.01)
    assert [task.done() for task in waiting] == [False] * 4 + [True] * 6  # one runs, three wait
    assert waiting[-1].result() == BUSY and BUSY.retry_after
    customer = asyncio.create_task(who.identify(RIGHT, HOME))
    await asyncio.sleep(0.01)
    assert not customer.done()
    checks.go.set()
    assert await customer == ada(file)
    assert [await task for task in waiting[:4]] == [WRONG] * 4


async def test_guesses_sent_at_once_are_limited_too(make: Make, checks: Checks) -> None:
    who = make(workers=2, queue=1_000, limits=AttemptLimits(FailureRate(5), FailureRate(5)))
    answers = await asyncio.gather(
        *(who.identify(Credentials("ada", f"guess{n}"), AWAY) for n in range(200)))
    assert 5 <= len(checks.hashes) <= 6  # the burst, and what the other worker had begun
    assert answers.count(WRONG) == len(checks.hashes)


# --- guessing -------------------------------------------------------------------------------


async def guess(who: Identifier, source: str, count: int, name: str = "ada") -> list[Any]:
    return [await who.identify(Credentials(name, f"guess{n}"), source) for n in range(count)]


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_a_limited_guess_is_not_checked(
    make: Make, checks: Checks, time: list[float], name: str
) -> None:
    who = make()
    assert await guess(who, AWAY, 12, name) == [WRONG] * 10 + [Unidentified(LIMITED, 10.0)] * 2
    assert len(checks.hashes) == 10
    time[0] = 10.0
    assert await guess(who, AWAY, 2, name) == [WRONG, Unidentified(LIMITED, 10.0)]


async def test_even_the_right_guess_is_not_checked_then(make: Make) -> None:
    who = make()
    await guess(who, AWAY, 10)
    assert await who.identify(RIGHT, AWAY) == Unidentified(LIMITED, 10.0)


async def test_nobody_is_locked_out_from_elsewhere(
    make: Make, file: AccountsFile, time: list[float]
) -> None:
    who = make()
    await who.identify(RIGHT, HOME)
    for n in range(5):
        await guess(who, f"203.0.113.{n}", 5)
    assert isinstance(await who.identify(WRONG_ONE, AWAY), Unidentified)
    assert who.identify_now(RIGHT, HOME) == ada(file)  # from memory
    assert who.identify_now(RIGHT, AWAY) == ada(file)  # even from the guesser's own address
    time[0] = 301.0                                    # no longer in memory, the attack goes on
    await guess(who, "203.0.113.99", 10)
    assert (await who.identify(Credentials("ada", "y"), AWAY)) == Unidentified(
        LIMITED, pytest.approx(10.0))
    assert await who.identify(RIGHT, HOME) == ada(file)


async def test_ipv6_neighbours_are_one_source(make: Make, checks: Checks) -> None:
    who = make(limits=AttemptLimits(per_name=FailureRate(1_000)))
    for n in range(12):
        await who.identify(WRONG_ONE, f"2001:db8::{n:x}")
    assert len(checks.hashes) == 10
    assert await who.identify(WRONG_ONE, "2001:db8:0:1::") == WRONG


# --- networks -------------------------------------------------------------------------------


@pytest.fixture
def bound(file: AccountsFile) -> Account:
    return file.add("bob", HASH, now=NOW, networks=["192.0.2.0/24", "2001:db8::/32"])


BOB = Credentials("bob", "sesame")


async def test_a_network_identifies(make: Make, file: AccountsFile, bound: Account) -> None:
    who = make()
    assert who.identify_now(None, HOME) == bound == who.identify_now(None, "::ffff:192.0.2.7")
    assert who.identify_now(None, AWAY) == NONE_SENT
    file.set_standing(bound.id, Standing.SUSPENDED, "", now=NOW)
    who.refresh()
    found = who.identify_now(None, HOME)
    assert isinstance(found, Account) and found.standing is Standing.SUSPENDED


async def test_credentials_decide_before_the_network(
    make: Make, file: AccountsFile, bound: Account
) -> None:
    who = make()
    assert await who.identify(RIGHT, HOME) == ada(file)
    assert await who.identify(WRONG_ONE, HOME) == WRONG
    assert who.identify_now(MALFORMED, HOME) == WRONG


async def test_a_network_confines(make: Make, bound: Account, checks: Checks) -> None:
    who = make()
    assert await who.identify(BOB, AWAY) == WRONG
    assert await who.identify(BOB, HOME) == bound
    before = len(checks.hashes)
    assert who.identify_now(BOB, AWAY) is None
    assert await who.identify(BOB, AWAY) == WRONG
    assert len(checks.hashes) == before + 1, "a quick no tells that the password is right"
    assert who.identify_now(BOB, HOME) == bound and who.identify_now(BOB, "") is None


async def test_a_right_password_from_outside_is_a_failure(make: Make, bound: Account) -> None:
    who = make(limits=AttemptLimits(per_source=FailureRate(3)))
    for _ in range(3):
        assert await who.identify(BOB, AWAY) == WRONG
    answer = await who.identify(BOB, AWAY)
    assert isinstance(answer, Unidentified) and answer.detail == LIMITED


async def test_either_use_of_networks_can_be_off(make: Make, bound: Account) -> None:
    who = make(networks=NetworkUse(identify=False, restrict=False))
    assert who.identify_now(None, HOME) == NONE_SENT
    assert await who.identify(BOB, AWAY) == bound


# --- several directories --------------------------------------------------------------------


async def test_the_first_directory_has_a_name(
    make: Make, file: AccountsFile, tmp_path: Path
) -> None:
    path = tmp_path / "h"
    path.write_text(f"ada:{CHEAP.hash('other')}\neve:{HASH}\n")
    who = make(file, Htpasswd([(path, "big")]))
    assert await who.identify(Credentials("ada", "other"), HOME) == WRONG
    assert await who.identify(RIGHT, HOME) == ada(file)
    eve = await who.identify(Credentials("eve", "sesame"), HOME)
    assert isinstance(eve, Account) and eve.plan == "big"
    path.unlink()
    path.write_text("")
    who.refresh()
    assert who.identify_now(Credentials("eve", "sesame"), HOME) is None


async def test_a_broken_hash_is_an_error_not_a_wrong_password(
    make: Make, file: AccountsFile
) -> None:
    file._db.execute("UPDATE accounts SET password_hash = 'hunter2'")
    who = make()
    with pytest.raises(passwords.UnusableHash):
        await who.identify(RIGHT, HOME)
    assert await who.identify(UNKNOWN, HOME) == WRONG
