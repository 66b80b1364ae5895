"""Guessing, slowed: failed attempts are limited per source address and per account name.

GCRA over failures only, so that a customer's successes cost nothing. An IPv6 source is its /64,
because one host has 2^64 addresses.

Limiting a name is a weapon too: anybody could lock a customer out by guessing at their name from
elsewhere. So a source from which the name was recently used with the right password has a bucket
of its own for that name, which nobody else can fill, and neither the name's bucket nor the source's
(which a neighbour behind the same NAT may have filled) applies to it. What remains: a customer who
comes from a new address, for the first time while their name is being guessed at, waits; and so
does one whose only address is also the guesser's.

Names are counted whether they exist or not; otherwise the limit would tell which do.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from outbounds.core.limits import gcra

from .fields import source_address

_Key = tuple[str, str]  # (source, ""), ("", name) or (source, name)


@dataclass(frozen=True, slots=True)
class FailureRate:
    """`burst` failures at once, one more per `interval` seconds."""

    burst: int = 10
    interval: float = 10.0


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """`per_source` and `per_name` hold side by side.

    A source that succeeded has its own bucket of the size `per_name` for `known_for` seconds.
    `max_keys` bounds the memory, at roughly 250 bytes a key: the least recent is forgotten.
    """

    per_source: FailureRate = FailureRate()
    per_name: FailureRate = FailureRate()
    known_for: float = 86_400.0
    max_keys: int = 100_000


DEFAULT_LIMITS = AttemptLimits()


def source_key(ip: str) -> str:
    """What a source is counted as: an IPv4 address, an IPv6 /64, or "?" where there is none."""
    address = source_address(ip)
    if address is None:
        return "?"
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Address(int(address) >> 64 << 64)) + "/64"
    return str(address)


class Attempts:
    """All times are seconds on one clock, passed in; sources are as `source_key` gives them."""

    def __init__(self, limits: AttemptLimits) -> None:
        self._limits = limits
        self._tats: OrderedDict[_Key, float] = OrderedDict()
        self._known: OrderedDict[_Key, float] = OrderedDict()

    def __len__(self) -> int:
        """Keys held, of both kinds."""
        return len(self._tats) + len(self._known)

    def known(self, source: str, name: str, now: float) -> bool:
        """Did this source recently use the name with the right password?"""
        return now - self._known.get((source, name), float("-inf")) < self._limits.known_for

    def wait(self, source: str, name: str, now: float) -> float:
        """Seconds until another attempt is allowed; 0.0 for now."""
        return max(gcra(self._tats.get(key, now), now, rate.interval, rate.burst)[1]
                   for key, rate in self._buckets(source, name, now))

    def failed(self, source: str, name: str, now: float) -> None:
        for key, rate in self._buckets(source, name, now):
            tat, _ = gcra(self._tats.get(key, now), now, rate.interval, rate.burst)
            self._remember(self._tats, key, tat)
        # the least recent come first, so what has drained goes without a sweep over the rest
        while self._tats and next(iter(self._tats.values())) <= now:
            self._tats.popitem(last=False)

    def succeeded(self, source: str, name: str, now: float) -> None:
        """Earlier failures stay counted: a guesser must not clear them with an own account."""
        self._remember(self._known, (source, name), now)

    def _buckets(self, source: str, name: str, now: float) -> tuple[tuple[_Key, FailureRate], ...]:
        limits = self._limits
        if self.known(source, name, now):
            return (((source, name), limits.per_name),)
        return (((source, ""), limits.per_source), (("", name), limits.per_name))

    def _remember(self, held: OrderedDict[_Key, float], key: _Key, value: float) -> None:
        held[key] = value
        held.move_to_end(key)
        if len(held) > self._limits.max_keys:
            held.popitem(last=False)
