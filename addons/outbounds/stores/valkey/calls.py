"""What the server is asked, and what its answers mean: `Take` and `Post`.

A call is encoded when it is sent, not when it is made: a call that was not run (the server had
lost the function, or our name, or a period was over) is sent again, and must then say what is
right by then.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from ...core.limits import Charge, Exceeded, Limit, Over, Taken, Unit
from ...core.verdict import RateLimit
from .. import Charges, StoreFull
from .function import Function
from .keyspace import HELD, QUOTA, RATE, Keyspace

TAKEN, EXCEEDED, UNKNOWN, STALE = 0, 1, 2, 3  # function.lua
DEBIT, GIVE, RAISE, TOUCH = 0, 1, 2, 3
ROWS = 256  # of one Post; the function takes 512
US = 1e6

pack = msgspec.msgpack.Encoder().encode

type Terms = tuple[int, bytes, float, float]  # kind, key, a, b: function.lua says what they are


class Language(NamedTuple):
    """What calls are made of: where state lies, the function's names, the server's Unix time."""

    keys: Keyspace
    function: Function
    wall: Callable[[], float]

    def terms(self, charge: Charge) -> Terms:
        limit = charge.limit
        if limit.unit.held:
            return HELD, self.keys.held(f"{limit.id}\n{charge.key}"), limit.count, 0
        if limit.calendar is not None:
            start, end = limit.calendar.period(self.wall())
            return QUOTA, self.keys.quota(charge, start), limit.count, end * US
        return RATE, self.keys.rate(charge), limit.interval * US, limit.burst

    def state(self, limit: Limit, left: int, reset: float) -> RateLimit:
        """`reset` in µs."""
        if limit.unit.held:
            return RateLimit(limit.id, limit.count, 0.0, left, 0.0, "concurrent-requests")
        window = limit.window
        if limit.calendar is not None:
            start, end = limit.calendar.period(self.wall())
            window = end - start
        return RateLimit(limit.id, limit.count, window, left, reset / US,
                         "content-bytes" if limit.unit.octets else "request")


class Call(ABC):
    """One FCALL. Of `answered`, `not_run` and `failed`, one is called in the end."""

    __slots__ = ("language", "tries")

    def __init__(self, language: Language) -> None:
        self.language = language
        self.tries = 0

    @abstractmethod
    def command(self, instance: bytes) -> tuple[bytes, ...]: ...

    @abstractmethod
    def answered(self, reply: list[int]) -> None:
        """The function ran."""

    @abstractmethod
    def failed(self, fault: Exception | None) -> None:
        """It did not, or nobody knows. `fault` is None where the server is away."""


class Take(Call):
    """`outcome` is set to what the server said, or None: it did not say so in time, or at all.

    `late` is called when it was charged and nobody waits for that any more; `decided` is then
    whether the request was let through all the same. `fault`: the server could not run it.
    """

    __slots__ = ("charges", "decided", "fault", "late", "outcome", "report", "taken")

    def __init__(self, language: Language, charges: Charges, report: bool,
                 taken: Callable[[Charges], None], late: Callable[[Take], None]) -> None:
        super().__init__(language)
        self.charges = charges
        self.report = report
        self.taken = taken
        self.late = late
        self.decided = self.fault = False
        self.outcome: asyncio.Future[Taken | Exceeded | None] = \
            asyncio.get_running_loop().create_future()

    def command(self, instance: bytes) -> tuple[bytes, ...]:
        language, charges = self.language, self.charges
        keys, visits, rows = [language.keys.beats], [], []
        for charge in charges:
            limit = charge.limit
            kind, key, a, b = language.terms(charge)
            keys.append(key)
            marker, life = 0, 0.0
            if limit.unit is Unit.HOSTS and charge.member:
                visits.append(language.keys.visit(charge))
                marker = 1 + len(charges) + len(visits)
                life = limit.window * US
            rows.append((kind, charge.cost, charge.need, a, b, marker, life))
        keys += visits
        return (b"FCALL", language.function.take, b"%d" % len(keys), *keys, instance,
                pack((self.report, rows)))

    def answered(self, reply: list[int]) -> None:
        if self.outcome.done():
            if reply[1] == TAKEN:
                self.late(self)
            return
        if reply[1] == TAKEN:
            self.taken(self.charges)
            self.outcome.set_result(Taken(closest=self._closest(reply)) if self.report else _TAKEN)
        else:
            self.outcome.set_result(self._exceeded(reply))

    def failed(self, fault: Exception | None) -> None:
        if self.outcome.done():
            return
        self.fault = fault is not None
        if isinstance(fault, StoreFull):
            self.outcome.set_exception(fault)
        else:
            self.outcome.set_result(None)

    def _exceeded(self, reply: list[int]) -> Exceeded:
        worst, paceable = 3, True
        for at in range(3, len(reply), 4):
            limit, wait = self.charges[reply[at] - 1].limit, reply[at + 1]
            paceable = paceable and limit.over is Over.PACE and wait / US <= limit.max_wait
            if wait > reply[worst + 1]:
                worst = at
        index, wait, left, reset = reply[worst:worst + 4]
        charge = self.charges[index - 1]
        return Exceeded(charge.limit, None if wait < 0 else wait / US,
                        self.language.state(charge.limit, left, reset), charge.key, paceable)

    def _closest(self, reply: list[int]) -> RateLimit | None:
        found: tuple[float, Limit, int, int] | None = None
        for at, charge in enumerate(self.charges):
            limit, left = charge.limit, reply[3 + 2 * at]
            # a burst of 0 is a gate that is open or shut: none of it can remain
            if limit.burst > 0 or limit.calendar is not None or limit.unit.held:
                share = left / limit.count
                if found is None or share < found[0]:
                    found = share, limit, left, reply[4 + 2 * at]
        return self.language.state(*found[1:]) if found else None


_TAKEN = Taken()


class Row(NamedTuple):
    op: int
    charge: Charge
    amount: float


class Post(Call):
    """What needs no answer. Amounts for the same state are added up while the call is not sent."""

    __slots__ = ("_rows", "said")

    def __init__(self, language: Language,
                 said: Callable[[Charge, int, int, int], None] | None = None) -> None:
        super().__init__(language)
        self._rows: dict[tuple[int, str, str], Row] = {}
        self.said = said

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        return len(self._rows) >= ROWS

    def add(self, op: int, charge: Charge, amount: float) -> None:
        if op == GIVE and charge.limit.unit.held:
            # one row for up and down: two in the wrong order could go below nothing in between
            op, amount = DEBIT, -amount
        at = op, charge.limit.id, charge.key
        row = self._rows.get(at)
        if row is not None:
            amount = max(amount, row.amount) if op == RAISE else amount + row.amount
        self._rows[at] = Row(op, charge, amount)

    def without_held(self) -> None:
        """For when all that is held is told anew."""
        self._rows = {at: row for at, row in self._rows.items() if not row.charge.limit.unit.held}

    def command(self, instance: bytes) -> tuple[bytes, ...]:
        language = self.language
        keys, rows = [language.keys.beats], []
        for op, charge, amount in self._rows.values():
            kind, key, a, b = language.terms(charge)
            keys.append(key)
            rows.append((op, kind, amount, a, b))
        return (b"FCALL", language.function.post, b"%d" % len(keys), *keys, instance, pack(rows))

    def answered(self, reply: list[int]) -> None:
        if self.said is not None:
            for at, row in enumerate(self._rows.values()):
                if row.op == DEBIT:
                    self.said(row.charge, *reply[2 + 3 * at:5 + 3 * at])

    def failed(self, fault: Exception | None) -> None:
        """Nobody waits for it."""


class Holdings(Call):
    """What is held, told anew (DEBIT, under a new name) or kept from expiring (TOUCH)."""

    __slots__ = ("_held", "_op")

    def __init__(self, language: Language, op: int, held: Iterable[tuple[str, int]]) -> None:
        super().__init__(language)
        self._op = op
        self._held = tuple(held)

    def command(self, instance: bytes) -> tuple[bytes, ...]:
        keys = [self.language.keys.beats, *(self.language.keys.held(at) for at, _ in self._held)]
        rows = [(self._op, HELD, count, 0, 0) for _, count in self._held]
        return (b"FCALL", self.language.function.post, b"%d" % len(keys), *keys, instance,
                pack(rows))

    def answered(self, reply: list[int]) -> None:
        """Done."""

    def failed(self, fault: Exception | None) -> None:
        """The connection is lost, and all is told anew on the next."""
