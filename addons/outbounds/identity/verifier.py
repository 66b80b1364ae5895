"""The answer to the policy's question `WhoIs`: an account, or nobody.

Two paths. `identify_now` answers from memory in a few microseconds and is what nearly every
request takes. `identify` checks the password, in a small pool of threads (argon2 and bcrypt
release the GIL), one check for however many requests bring the same credentials at once.

What is remembered is a proof: this name and password, kept as a digest under a key that dies with
the process, matched that hash. A proof holds while the account still has the same hash; whenever
anything changed among the accounts it is looked up again before it is believed, so the account it
yields is never older than the last `refresh`. A suspended account is still identified: standing is
the next control's business.

Networks. What an account lists are the addresses assigned to it, and by default they do two
things: who comes from one without credentials is that account, and the account's password works
from nowhere else. `NetworkUse` turns either off. Credentials that are sent always decide; a
wrong password does not fall back on the network.

Names are not revealed. Every failure reads the same, a right password from the wrong network
included, counts the same, and costs one hash check: an unknown name is checked against a dummy
(see `dummies` for what remains).

Overload. At most `queue` checks wait, and as many again from sources known to use the name they
send; beyond that the answer is Unidentified with a time to come back. Guessing is slowed by
`attempts`; a proof in memory passes regardless, so a limit does not stop a customer at work.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cachetools import TTLCache

from outbounds.core.account import Account, Unidentified
from outbounds.core.request import Credentials

from . import passwords
from .attempts import DEFAULT_LIMITS, AttemptLimits, Attempts, source_key
from .directory import Directory
from .dummies import Dummies
from .fields import Network, is_name
from .networks import IDENTIFY_AND_RESTRICT, NetworkUse, networks_of

logger = logging.getLogger(__name__)

NONE_SENT = Unidentified("This proxy needs the name and password of an account.")
WRONG = Unidentified("The name or password is wrong, or not valid from this address.")
LIMITED = "Too many failed attempts. Try again later."
BUSY = Unidentified("The proxy is busy checking passwords. Try again shortly.", 1.0)


@dataclass(slots=True)
class _Proof:
    account: Account
    password_hash: str
    networks: tuple[Network, ...]
    generation: int


class Identifier:
    """Belongs to one event loop; its directories are asked on it, and passwords checked off it.

    `directories` are asked in order; the first that knows a name has it. `cache_seconds` is how
    long a proof is kept. `on_change(account, id)` is called by `refresh` for each account that
    changed, with None for one that is gone; where too much changed to say what, for each id that
    `live()` returns: the proxy gives the accounts that have something open. `clock` is monotonic,
    in seconds.
    """

    def __init__(
        self,
        directories: Sequence[Directory],
        *,
        limits: AttemptLimits = DEFAULT_LIMITS,
        networks: NetworkUse = IDENTIFY_AND_RESTRICT,
        cache_seconds: float = 300.0,
        cache_size: int = 10_000,
        workers: int = 2,
        queue: int = 64,
        on_change: Callable[[Account | None, str], None] = lambda account, account_id: None,
        live: Callable[[], Iterable[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directories = tuple(directories)
        self._networks = networks
        self._attempts = Attempts(limits)
        self._on_change = on_change
        self._live = live
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._proofs: TTLCache[bytes, _Proof] = TTLCache(cache_size, cache_seconds, clock)
        self._sources: TTLCache[str, Account | None] = TTLCache(cache_size, cache_seconds, clock)
        self._current: TTLCache[str, tuple[int, Account | None]] = TTLCache(
            cache_size, cache_seconds, clock)
        self._flights: dict[bytes, asyncio.Task[_Proof | Unidentified]] = {}
        self._pool = ThreadPoolExecutor(workers, "password")
        self._turn = asyncio.Semaphore(workers)
        self._queue = queue
        self._waiting = 0
        self._counters = [directory.changes_since(0)[0] for directory in self._directories]
        self._generation = 0
        self._dummies = Dummies(self._directories)

    # --- who is this? -----------------------------------------------------------------------

    def identify_now(
        self, credentials: Credentials | None, source_ip: str
    ) -> Account | Unidentified | None:
        """The answer if it takes no password check; None where `identify` must be awaited."""
        if credentials is None:
            return self._by_network(source_ip)
        if not is_name(credentials.name):
            return WRONG
        proof = self._proofs.get(self._digest(credentials))
        # from outside its networks even a proven password takes the slow path, and fails there
        # as slowly as a wrong one: a quick no would tell a thief that the password is right
        if proof is not None and self._holds(proof) \
                and self._networks.admit(proof.networks, source_ip):
            return proof.account
        return None

    async def identify(
        self, credentials: Credentials | None, source_ip: str
    ) -> Account | Unidentified:
        """The answer, after a password check if it takes one. Raises what the directories raise."""
        answer = self.identify_now(credentials, source_ip)
        if answer is not None or credentials is None:
            return answer or NONE_SENT
        source, name = source_key(source_ip), credentials.name
        digest = self._digest(credentials)
        flight = self._flights.get(digest)
        if flight is None:
            flight = asyncio.create_task(self._check(credentials, source))
            self._flights[digest] = flight
            flight.add_done_callback(lambda _: self._flights.pop(digest, None))
        # shielded: the one who asked first may hang up while others wait for the same answer
        outcome = await asyncio.shield(flight)
        if isinstance(outcome, Unidentified):
            return outcome
        if not self._holds(outcome) or not self._networks.admit(outcome.networks, source_ip):
            self._attempts.failed(source, name, self._clock())
            return WRONG
        self._proofs[digest] = outcome
        self._attempts.succeeded(source, name, self._clock())
        return outcome.account

    async def _check(self, credentials: Credentials, source: str) -> _Proof | Unidentified:
        name = credentials.name
        known = self._attempts.known(source, name, self._clock())
        if wait := self._attempts.wait(source, name, self._clock()):
            return Unidentified(LIMITED, wait)
        if self._waiting >= self._queue * (2 if known else 1):
            return BUSY
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            # asked again: of many guesses sent at once, all but a few were queued before any failed
            if wait := self._attempts.wait(source, name, self._clock()):
                return Unidentified(LIMITED, wait)
            generation = self._generation
            found = self._lookup(name)
            password_hash = self._dummies.of(name, generation) if found is None else found[1]
            right = await asyncio.get_running_loop().run_in_executor(
                self._pool, passwords.verify, password_hash, credentials.password)
        finally:
            self._turn.release()
        if found is None or not right:
            self._attempts.failed(source, name, self._clock())
            return WRONG
        return _Proof(found[0], password_hash, networks_of(found[0]), generation)

    def _lookup(self, name: str) -> tuple[Account, str] | None:
        for directory in self._directories:
            found = directory.by_name(name)
            if found is not None:
                return found
        return None

    def _holds(self, proof: _Proof) -> bool:
        """Has the account still this password? Brings the proof up to date."""
        if proof.generation == self._generation:
            return True
        found = self._lookup(proof.account.name)
        if found is None or found[1] != proof.password_hash:
            return False
        proof.account, proof.networks = found[0], networks_of(found[0])
        proof.generation = self._generation
        return True

    def _by_network(self, source_ip: str) -> Account | Unidentified:
        if not self._networks.identify:
            return NONE_SENT
        if source_ip in self._sources:
            account = self._sources.get(source_ip)
        else:
            found = (directory.by_source(source_ip) for directory in self._directories)
            account = next((a for a in found if a is not None), None)
            self._sources[source_ip] = account
        return account or NONE_SENT

    def _digest(self, credentials: Credentials) -> bytes:
        # a name holds no NUL (`is_name`), so no other pair gives the same bytes
        text = f"{credentials.name}\0{credentials.password}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._key).digest()

    def current(self, account: Account) -> Account | None:
        """The account as it stands now, None if it is gone. Raises what the directories raise."""
        generation, known = self._current.get(account.id, (-1, None))
        if generation != self._generation:
            known = self._by_id(account.id)
            self._current[account.id] = (self._generation, known)
        return known

    # --- what changed? ----------------------------------------------------------------------

    def refresh(self) -> None:
        """Take notice of every change to the accounts. Raises what the directories raise.

        A directory that cannot be asked counts as changed: each proof is looked up again, and
        where that fails too the request is refused.
        """
        faults: list[Exception] = []
        for index, directory in enumerate(self._directories):
            try:
                counter, changed = directory.changes_since(self._counters[index])
                if changed is not None and not changed:
                    continue
                self._forget()
                if changed is None:
                    for account_id in self._live():
                        self._tell(self._by_id(account_id), account_id)
                else:
                    for account_id in changed:
                        self._tell(directory.by_id(account_id), account_id)
                self._counters[index] = counter  # only now: what could not be told is told again
            except Exception as fault:
                self._forget()
                faults.append(fault)
        if faults:
            raise faults[0]

    def _forget(self) -> None:
        self._generation += 1
        self._sources.clear()

    def _by_id(self, account_id: str) -> Account | None:
        found = (directory.by_id(account_id) for directory in self._directories)
        return next((a for a in found if a is not None), None)

    def _tell(self, account: Account | None, account_id: str) -> None:
        try:
            self._on_change(account, account_id)
        except Exception:  # the next account's tunnels must be closed all the same
            logger.exception("a change of account %s could not be followed", account_id)

    async def watch(self, every: float = 0.25) -> None:
        """`refresh` every so many seconds, until cancelled; a fault is logged once, not each time.

        With the default a suspension is known within 0.25 s.
        """
        failing = ""
        while True:
            try:
                self.refresh()
                if failing:
                    logger.warning("changes to accounts are seen again")
                failing = ""
            except Exception as fault:
                if str(fault) != failing:
                    logger.error("changes to accounts are not seen: %s", fault)
                failing = str(fault)
            await asyncio.sleep(every)

    def close(self) -> None:
        """Stop the threads; checks that have begun run to their end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
