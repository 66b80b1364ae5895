"""A part's figures: rows with their bounds, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from .machine import describe

OUT = Path(__file__).resolve().parents[2] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must not fall below, or not exceed."""

    relation: str  # "≥" or "≤"
    value: float

    def holds(self, figure: float) -> bool:
        return figure >= self.value if self.relation == "≥" else figure <= self.value


def at_least(value: float) -> Bound:
    return Bound("≥", value)


def at_most(value: float) -> Bound:
    return Bound("≤", value)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: the median of `turns`. Without a bound it is there for orientation."""

    name: str
    unit: str
    turns: Sequence[float]
    bound: Bound | None = None

    @property
    def figure(self) -> float:
        return median(self.turns)

    @property
    def holds(self) -> bool | None:
        return None if self.bound is None else self.bound.holds(self.figure)


def ratio(name: str, of: Sequence[float], to: Sequence[float], bound: Bound | None = None) -> Row:
    """`of` ÷ `to`, turn by turn: both were measured within a few seconds of each other."""
    return Row(name, "×", [a / b for a, b in zip(of, to, strict=True)], bound)


@dataclass(slots=True)
class Report:
    """`method` says how the figures came about; `missing` maps what was not measured to why."""

    part: str
    method: str
    rows: list[Row] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def broken(self) -> list[Row]:
        return [row for row in self.rows if row.holds is False]

    def save(self) -> Path:
        OUT.mkdir(parents=True, exist_ok=True)
        path = OUT / f"{self.part}.json"
        path.write_text(json.dumps({
            "part": self.part,
            "machine": describe(),
            "method": self.method,
            "rows": [{"name": row.name, "unit": row.unit, "figure": row.figure,
                      "turns": list(row.turns),
                      "bound": f"{row.bound.relation} {row.bound.value:g}" if row.bound else None,
                      "holds": row.holds} for row in self.rows],
            "not_measured": self.missing,
            "raw": self.raw,
        }, indent=1, ensure_ascii=False) + "\n")
        return path

    def show(self, console: Console) -> None:
        table = Table(title=self.part, title_justify="left", title_style="bold")
        table.add_column("what", overflow="fold")
        for heading in ("median", "least", "most", "unit", "bound", "holds"):
            table.add_column(heading, justify="left" if heading == "unit" else "right",
                             no_wrap=True)
        for row in self.rows:
            bound = f"{row.bound.relation} {readable(row.bound.value)}" if row.bound else ""
            holds = {None: "", True: "yes", False: "[bold red]NO[/]"}[row.holds]
            table.add_row(row.name, readable(row.figure), readable(min(row.turns)),
                          readable(max(row.turns)), row.unit, bound, holds)
        for name, why in self.missing.items():
            table.add_row(f"{name}: {why}", "not measured", "", "", "", "", "", style="dim")
        console.print(table)
        console.print(self.method, style="dim")
        console.print()


def readable(figure: float) -> str:
    """Three digits that mean something, and no exponent."""
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.3g}"
