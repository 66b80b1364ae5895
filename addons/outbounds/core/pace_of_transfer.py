"""Whether a transfer is too slow: a least rate, and the time over which it is looked at.

Whoever takes hours over what takes seconds holds a connection, a task and buffers all the while; a
few hundred of them hold a server (slow POST, slow read). A bound on the whole time would hit those
who send much; a bound on each pause is met by an octet now and then. So it is the rate that counts,
over a window long enough for a line that is bad for a while: within each `over` seconds, so many
octets. Once they are there, the next window begins.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeastPace:
    """At least `rate` octets per second, as a mean over `over` seconds."""

    rate: float
    over: float

    @property
    def octets(self) -> float:
        """What must have moved in one window. One octet at least: none is never enough."""
        return max(1.0, self.rate * self.over)


class Progress:
    """What is remembered of one transfer. Times in seconds on one clock."""

    __slots__ = ("_looked", "_octets", "_since")

    def __init__(self, now: float, octets: int) -> None:
        self._since = self._looked = now
        self._octets = octets

    def too_slow(self, now: float, octets: int, least: LeastPace, *, excused: bool = False) -> bool:
        """Look again; `octets` is the sum of all that has moved.

        `excused`: since the last look it was not for this side to move anything, and the clock
        stood. Looking more often makes no difference but to how soon the answer comes.
        """
        if excused:
            self._since += now - self._looked
        self._looked = now
        if octets - self._octets >= least.octets:
            self._since, self._octets = now, octets
            return False
        return now - self._since >= least.over
