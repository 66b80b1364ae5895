"""Whether a target is slower than it is by itself: its latency against its own baseline.

The idea is TCP Vegas' (Brakmo and Peterson, 1995): what takes longer than it takes when nobody
waits is spent in a queue. But the latencies of a web site vary by themselves, by factors of a
hundred between one URL and the next, so neither a minimum nor a mean of few can be compared. Here

- latencies count by their logarithm: one slow page in thirty hardly moves a geometric mean;
- they are judged in batches, of at least `BATCH` and of no fewer than are under way at a time;
- a batch is slow only if it lies above the baseline by the factor `SLOW` *and* by twice the
  standard error of its own mean: the more a site varies, the more it takes;
- the baseline follows faster batches quickly and slower ones hardly at all. So it stays near what
  the target does when it is not pressed, and yet forgets, over hundreds of batches.
"""

from __future__ import annotations

from math import exp, log, sqrt

BATCH = 32  # latencies; the standard error of fewer says little
SLOW = 1.6  # times the baseline
SPARED = 0.7  # share of the way that the baseline goes towards a faster batch when it was spared
FASTER = 0.25  # otherwise
SLOWER = 0.02  # and towards a slower one
_ERRORS = 2.0  # standard errors of a mean
QUICK = 0.05  # seconds: a target that answers so soon is not in distress, whatever it did before
_SHORTEST = 1e-4  # seconds; below it lies nothing that could be told apart


class Latency:
    """Latencies of one target, in seconds to the head of its response."""

    __slots__ = ("_base", "_count", "_skip", "_squares", "_sum")

    def __init__(self) -> None:
        self._base: float | None = None  # logarithm
        self._count = 0
        self._skip = 0
        self._sum = 0.0
        self._squares = 0.0

    @property
    def baseline(self) -> float | None:
        """Seconds; None before the first batch."""
        return None if self._base is None else exp(self._base)

    def add(self, seconds: float, at_least: int, *, spared: bool = False) -> bool | None:
        """Count one. With the one that completes a batch of `at_least`: whether it was slow.
        `spared`: the target is pressed less, just to see how fast it is then."""
        if self._skip > 0:
            self._skip -= 1
            return None
        value = log(max(seconds, _SHORTEST))
        self._count += 1
        self._sum += value
        self._squares += value * value
        if self._count < max(BATCH, at_least):
            return None
        mean = self._sum / self._count
        spread = sqrt(max(0.0, self._squares / self._count - mean * mean))
        error = spread / sqrt(self._count)
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        if self._base is None:
            self._base = mean
        elif mean > max(log(QUICK), self._base + log(SLOW) + _ERRORS * error):
            return True
        else:
            gain = SPARED if spared else FASTER
            self._base += (mean - self._base) * (gain if mean < self._base else SLOWER)
        return False

    def skip(self, count: int) -> None:
        """Begin a new batch, without the next `count`. Those that come back first after a change
        are the fast ones, and would make the target look better than it is."""
        self._skip = count
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def forget(self) -> None:
        """The next batch is the baseline: this is how the target is now, pressed or not."""
        self._base = None
