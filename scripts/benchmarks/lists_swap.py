"""A swap of the full list in a running proxy, under load: how long does its event loop stand still?

Two generations are built, of the same names in another order of lines, and `current` is pointed at
one and the other in turn, exactly as the build does at its end. The proxy is `outbounds serve` with
one more task on its loop, which sleeps for a millisecond and notes when it was woken late.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .client import Client
from .machine import cores
from .origin import Origin
from .report import Report, Row, at_most
from .running import Running, free_port, wait_for
from .setting import NAME, PASSWORD, add_account, configuration, edit
from .tools import Missing

CONNECTIONS = 4
SETTLE = 3.0   # s under load before the first swap, and between two
WARM_UP = 2

_BEAT = """\
import asyncio, json, signal, sys, time
from outbounds.proxy import service

async def beat(path, late=[]):
    loop, save = asyncio.get_running_loop(), 0.0
    while True:
        asked = time.monotonic()
        await asyncio.sleep(0.001)
        woken = time.monotonic()
        if woken - asked > 0.003:
            late.append((asked, woken - asked - 0.001))
        if woken > save and late:
            save = woken + 0.5
            with open(path, "w") as file:
                json.dump(late, file)

async def start(self, original=service.Service.start):
    await original(self)
    self._beat = asyncio.create_task(beat({path!r}))

service.Service.start = start
from outbounds.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Swaps:
    """`stalls`: for each swap, the longest time in ms that the loop was late in the 1.5 s in which
    it happened; `quiet`: the same for as many spans of the same load without a swap. `failed`
    counts replies that were not 200, and connections that broke."""

    stalls: list[float]
    quiet: list[float]
    failed: int
    requests: int


def add_rows(report: Report, folder: Path, names: Path, turns: int) -> None:
    """The rows of a swap of all of `names`, a file of plain domains. Raises Missing."""
    available = cores()
    if len(available) < 2:
        raise Missing("needs two cores, one of them for the proxy alone")
    folder.mkdir()
    other = folder / "other-names.txt"
    with names.open("rb") as source, other.open("wb") as target:
        source.readline()  # another list, so another generation: one name less
        shutil.copyfileobj(source, target)
    found = swaps(folder, names, other, turns, available[0], available[1])
    report.rows += [
        Row("swap of the large list under load: event loop stands still", "ms", found.stalls),
        Row("… the longest of all swaps", "ms", [max(found.stalls)], at_most(10.0)),
        Row("… the same load without a swap, the longest", "ms", [max(found.quiet)]),
        Row(f"… requests that failed, of {found.requests:,}", "", [found.failed], at_most(0.0))]


def swaps(folder: Path, names: Path, other_names: Path, turns: int, core: int,
          other_core: int) -> Swaps:
    """`names` and `other_names` are lists of plain domains. Raises Missing, RuntimeError."""
    origin = Origin(folder / "nginx", other_core)
    with origin.running:
        config = configuration(folder / "config", origin.port)
        add_account(config)
        generations = [build(config, source) for source in (names, other_names)]
        port, beats, log = free_port(), folder / "beats.json", folder / "proxy.log"
        script = folder / "serve_with_a_beat.py"
        script.write_text(_BEAT.format(path=str(beats)))
        command = [sys.executable, str(script), "serve", "--config", str(config),
                   "--port", str(port)]
        client = Client(origin.url, NAME, PASSWORD, other_core)
        seconds = int(WARM_UP + SETTLE * (2 * turns + 1))
        with Running(command, core, log=log, folder=folder) as proxy:
            proxy.wait_for_port(port)
            client.run(port, WARM_UP, CONNECTIONS)
            loads = []
            load = threading.Thread(
                target=lambda: loads.append(client.run(port, seconds, CONNECTIONS)))
            load.start()
            time.sleep(WARM_UP)
            marks, quiet = [], []
            for turn in range(turns):
                quiet.append(time.monotonic())
                time.sleep(SETTLE)
                seen = log.read_text("utf-8", "replace").count("are in force:")
                marks.append(time.monotonic())
                point_at(config, generations[turn % 2])
                wait_for(lambda seen=seen: log.read_text("utf-8", "replace").count(
                    "are in force:") > seen, "a swap of the lists", 15.0)
                time.sleep(max(0.0, SETTLE - (time.monotonic() - marks[-1])))
            load.join()
            time.sleep(1.0)
    late = json.loads(beats.read_text()) if beats.exists() else []
    done = loads[0]
    return Swaps([_longest(late, mark) for mark in marks], [_longest(late, mark) for mark in quiet],
                 done.failed + done.broken, done.requests)


def _longest(late: list[tuple[float, float]], since: float) -> float:
    spans = [lateness for at, lateness in late if since <= at + lateness and at <= since + 2.5]
    return max(spans, default=0.003) * 1e3


def build(config: Path, names: Path) -> str:
    """Compile `names` as the only list; the name of the generation."""
    edit(config / "destinations.yaml", lambda data: data.update(lists=[
        {"id": "names", "file": str(names), "format": "domains", "clause": "P-content"}]))
    with Running([sys.executable, "-m", "outbounds", "lists", "build", "--quiet", "--config",
                  str(config)], os.sched_getaffinity(0).pop(), log=config / "build.log") as running:
        if running.process.wait(600):
            raise RuntimeError((config / "build.log").read_text())
    return (config / "var" / "lists" / "current").read_text().strip()


def point_at(config: Path, generation: str) -> None:
    current = config / "var" / "lists" / "current"
    with tempfile.NamedTemporaryFile("w", dir=current.parent, delete=False) as draft:
        draft.write(generation + "\n")
    Path(draft.name).replace(current)
