"""Sparing targets: whole targets in simulation, on a virtual clock (`target_model`)."""

from __future__ import annotations

from .report import Report, Row, at_least, at_most
from .target_model import Outcome, Target, simulate

ACCOUNTS = 1000

METHOD = f"""\
Sparing targets, simulated: {ACCOUNTS:,} accounts, each with 1 to 5 requests waiting all the \
while, before a target with so many servers of 50 ms a request (exponential, or fixed), slowed by \
1 % for each request beyond them. Latency in times of the idle target's; capacity is what its \
servers could do unpressed; fairness is Jain's index over all accounts. A turn is one seed."""

TARGETS: dict[str, Target] = {
    "20 servers": Target(),
    "20 servers, fixed": Target(fixed=True),
    "4 servers": Target(servers=4),
    "100 servers": Target(servers=100),
    "20 servers, 10 % slower for each beyond": Target(degrade=0.1),
    "20 servers, 503 to what is beyond": Target(refuse_over=20),
    "20 servers, then 10": Target(changes={150.0: 10}),
}


def add(report: Report, quick: bool) -> None:
    seconds, seeds = (100.0, 2) if quick else (300.0, 5)
    for name, target in TARGETS.items():
        _rows(report, name, [
            simulate(target, ACCOUNTS, seconds=seconds, seed=seed) for seed in range(seeds)])
    greedy = [simulate(Target(), ACCOUNTS, seconds=seconds, seed=seed,
                       greed=lambda i: 100 if i == 0 else 1) for seed in range(seeds)]
    report.rows.append(Row(
        "share of one that asks 100 times as much, in shares of the others", "×",
        [each.served[0] * (ACCOUNTS - 1) / sum(each.served[1:]) for each in greedy],
        at_most(1.1)))
    report.method += " " + METHOD


def _rows(report: Report, name: str, outcomes: list[Outcome]) -> None:
    report.rows += [
        Row(f"target of {name}: latency", "× idle", [each.slower for each in outcomes],
            at_most(2.0)),
        Row(f"target of {name}: capacity used", "share", [each.used for each in outcomes],
            at_least(0.8)),
        Row(f"target of {name}: fairness", "Jain", [each.jain() for each in outcomes],
            at_least(0.95)),
    ]
