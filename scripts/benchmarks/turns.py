"""Taking turns, and the time of one call."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from time import perf_counter

Measure = Callable[[], float]


def interleaved(contenders: Mapping[str, Measure], turns: int) -> dict[str, list[float]]:
    """`turns` figures of each contender, measured A B C A B C …, after one turn that warms up."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, measure in contenders.items():
            figure = measure()
            if turn:
                figures[name].append(figure)
    return figures


def microseconds[T](call: Callable[[T], object], arguments: Iterable[T]) -> Measure:
    """Measures the median time of `call` in µs, over all `arguments`.

    The collector of garbage stays on, as in service; what an earlier contender left behind is
    collected before. Reading the clock adds about 0.05 µs.
    """
    given = list(arguments)

    def measure() -> float:
        gc.collect()
        times = []
        for argument in given:
            started = perf_counter()
            call(argument)
            times.append(perf_counter() - started)
        return median(times) * 1e6

    return measure
