"""Names to addresses: cached, one look-up per name at a time, and never on a shared thread pool.

asyncio's default resolver runs on the loop's default executor, which everything else shares: two
dozen slow look-ups of one account held up another client's request for 14.7 s. Here look-ups have
threads of their own, and one account may only hold a few of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cachetools import TTLCache

from ..core.destination import Address, Host
from ..core.questions import NoSuchHost

Answer = tuple[Address, ...] | NoSuchHost


def system_lookup(name: str) -> tuple[Address, ...]:
    """Every address of `name`, as the system resolves it. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    # a scope id after % would be dropped by ipaddress's text form; such answers are link-local
    return tuple(dict.fromkeys(ipaddress.ip_address(str(item[4][0]).partition("%")[0])
                               for item in found))


class Resolver:
    """Answers for `ttl` seconds, failures for `negative_ttl`; `per_account` look-ups at once.

    A cached answer carries no permission: whoever dials vets every address again.
    """

    def __init__(self, lookup: Callable[[str], tuple[Address, ...]] = system_lookup, *,
                 ttl: float = 30.0, negative_ttl: float = 5.0, timeout: float = 5.0,
                 threads: int = 32, per_account: int = 4, max_names: int = 20_000) -> None:
        self._lookup = lookup
        self._timeout = timeout
        self._negative_ttl = negative_ttl
        self._cache: TTLCache[str, Answer] = TTLCache(max_names, ttl)
        self._failed: TTLCache[str, NoSuchHost] = TTLCache(max_names, negative_ttl)
        self._flights: dict[str, asyncio.Task[Answer]] = {}
        self._busy: defaultdict[str, int] = defaultdict(int)
        self._per_account = per_account
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="dns")

    def __len__(self) -> int:
        return len(self._cache)

    def peek(self, host: Host) -> Answer | None:
        """The cached answer, or None."""
        return self._cache.get(host.text) or self._failed.get(host.text)

    async def resolve(self, host: Host, account: str) -> Answer:
        """Every address of the name. Never raises for a name that cannot be resolved."""
        if host.address is not None:
            return (host.address,)
        known = self.peek(host)
        if known is not None:
            return known
        flight = self._flights.get(host.text)
        if flight is None:
            if self._busy.get(account, 0) >= self._per_account:
                return await self._wait_for_a_place(host, account)
            # here and not in the task, which begins later: others would find the place free
            self._busy[account] += 1
            flight = asyncio.create_task(self._fly(host.text, account), name=f"dns {host.text}")
            self._flights[host.text] = flight
        # shielded: a client that leaves must not end the look-up others are waiting for
        return await asyncio.shield(flight)

    async def _wait_for_a_place(self, host: Host, account: str) -> Answer:
        deadline = time.monotonic() + self._timeout
        while self._busy.get(account, 0) >= self._per_account:
            if time.monotonic() >= deadline:
                return NoSuchHost(f"Too many names are being looked up for this account; "
                                  f"{host.text} had to wait too long.")
            await asyncio.sleep(0.01)
        return await self.resolve(host, account)

    async def _fly(self, name: str, account: str) -> Answer:
        loop = asyncio.get_running_loop()
        thread = loop.run_in_executor(self._threads, self._lookup, name)
        # the place is given back when the thread is, not when we stop waiting for it: otherwise
        # names that hang would use up the threads of everybody
        thread.add_done_callback(lambda done: self._landed(account, done))
        try:
            addresses = await asyncio.wait_for(asyncio.shield(thread), self._timeout)
            answer: Answer = addresses or NoSuchHost(f"{name} has no addresses.")
        except TimeoutError:
            answer = NoSuchHost(f"Looking up {name} took longer than {self._timeout:g} s.")
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "failed"
            answer = NoSuchHost(f"{name} does not resolve: {reason}.")
        finally:
            self._flights.pop(name, None)
        if isinstance(answer, NoSuchHost):
            self._failed[name] = answer
        else:
            self._cache[name] = answer
        return answer

    def _landed(self, account: str, done: asyncio.Future[tuple[Address, ...]]) -> None:
        self._busy[account] -= 1
        if not self._busy[account]:
            del self._busy[account]
        if not done.cancelled():
            done.exception()  # retrieved, so that a late failure is not logged as lost

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
