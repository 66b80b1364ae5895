"""The timeline of a report: how many events began when, by verdict, as SVG.

Colours differ in lightness as well as in hue, and are named in the legend, so that the chart says
the same on paper, in grey, and to those who see fewer colours. What it shows is also said in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

SECOND = 1_000_000  # µs
_STEPS = tuple(seconds * SECOND for seconds in (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 2_592_000, 7_776_000, 31_536_000))
_MOST = 60     # bars
_LEAST = 12    # so that one moment is no wall
WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 28, 40

VERDICTS = ("allow", "pace", "refuse", "")


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a column: `verdict` is a name in `VERDICTS`. In the chart's units."""

    verdict: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a point of an axis. `text` is what it is called."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`step` is how long a bar lasts, as text; `complaints` are on the x axis, as `ticks`, and
    `counts` on the y axis. `totals` are events by verdict."""

    step: str
    bars: list[Bar]
    ticks: list[Mark]
    counts: list[Mark]
    complaints: list[Mark]
    totals: dict[str, int]


def chart(events: Sequence[tuple[int, str]], complaints: Sequence[int] = ()) -> Chart:
    """Of events as (when they began, verdict), and moments that a complaint speaks of, all in Unix
    µs; at least one event."""
    moments = [at for at, _ in events] + list(complaints)
    first, last = min(moments), max(moments)
    step = next((each for each in _STEPS if (last - first) // each < _MOST), _STEPS[-1])
    begin = first // step
    columns = max(_LEAST, last // step - begin + 1)
    # in the middle, where there is little
    begin -= (columns - (last // step - begin + 1)) // 2
    by_column: dict[int, Counter[str]] = {}
    for at, verdict in events:
        by_column.setdefault(at // step - begin, Counter())[
            verdict if verdict in VERDICTS else ""] += 1
    most = _round(max(sum(each.values()) for each in by_column.values()))
    width = (WIDTH - LEFT - RIGHT) / columns
    tall = HEIGHT - TOP - BOTTOM
    bars = []
    for column, verdicts in sorted(by_column.items()):
        foot = float(HEIGHT - BOTTOM)
        for verdict in VERDICTS:
            if count := verdicts[verdict]:
                height = count / most * tall
                foot -= height
                bars.append(Bar(verdict, round(LEFT + column * width + width * 0.08, 2),
                                round(foot, 2), round(width * 0.84, 2), round(height, 2)))
    every = max(1, columns // 6)
    return Chart(
        step=_span(step), bars=bars,
        ticks=[Mark(round(LEFT + column * width, 2), _moment((begin + column) * step, step))
               for column in range(0, columns, every)],
        counts=[Mark(round(HEIGHT - BOTTOM - count / most * tall, 2), str(count))
                for count in sorted({0, most // 2, most})],
        complaints=[Mark(round(LEFT + (at / step - begin) * width, 2), _exact(at))
                    for at in complaints],
        totals=dict(Counter(verdict if verdict in VERDICTS else "" for _, verdict in events)))


def _round(count: int) -> int:
    """The next number that an axis may end at: 1, 2, 4, 6, 8, 10, 20, 40…"""
    power = 1
    while True:
        for factor in (1, 2, 4, 6, 8):
            if count <= factor * power:
                return factor * power
        power *= 10


def _span(step: int) -> str:
    seconds = step // SECOND
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            count = seconds // size
            return f"one {name}" if count == 1 else f"{count} {name}s"
    raise AssertionError(step)


def _moment(at: int, step: int) -> str:
    form = "%H:%M:%S" if step < 60 * SECOND else "%H:%M" if step < 7200 * SECOND else \
        "%m-%d %H:%M" if step < 86_400 * SECOND else "%Y-%m-%d"
    return datetime.fromtimestamp(at // SECOND, UTC).strftime(form)


def _exact(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
