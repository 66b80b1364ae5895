"""New connections to targets: every request opens one, to a name that has to be resolved."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .client import Client
from .contenders import ADDON, CONNECTIONS, CONTENDERS, SERVE, STOCK, Contender, Site
from .origin import ONCE
from .proxying import Turn, take_turn
from .report import Report, Row, at_least, ratio

METHOD = f"""\
"New connections": the same with a page whose reply says Connection: close, so that each request \
opens one to the origin, with {CONNECTIONS} clients; `localhost` is resolved for each, by the \
system on stock mitmdump, from memory under enforcement."""

COMPARED = (STOCK, ADDON, SERVE)
RATIOS = ((ADDON, STOCK, None), (SERVE, STOCK, at_least(1.2)))


def measure(report: Report, site: Site, client: Client, folder: Path, *, core: int,
            other_core: int, seconds: int, turns: int) -> None:
    """Adds the rows to `report`. Raises RuntimeError where a reply was not good."""
    client = replace(client, url=client.url.rpartition("/page/")[0] + ONCE)
    found: dict[str, list[Turn]] = {name: [] for name in COMPARED}
    for number in range(turns):
        for index, each in enumerate(_compared(CONTENDERS)):
            here = folder / f"connections-{number}-{index}"
            found[each.name].append(take_turn(each, site, client, here, core=core,
                                              other_core=other_core, seconds=seconds))
            shutil.rmtree(here)
    rates = {name: [turn.load.rate for turn in each] for name, each in found.items()}
    report.rows += [ratio(f"new connections: {of} ÷ {to}", rates[of], rates[to], bound)
                    for of, to, bound in RATIOS]
    report.rows += [Row(f"new connections: {name}", "connections/s", rates[name])
                    for name in COMPARED]


def _compared(contenders: Iterable[Contender]) -> list[Contender]:
    return [each for each in contenders if each.name in COMPARED]
