"""Enforcement in traffic against mitmproxy without it, and the decision alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from . import connections, decision, workers
from .client import Client
from .contenders import (
    ADDON,
    ADDON_BCRYPT,
    CONNECTIONS,
    CONTENDERS,
    QUIET_ADDON,
    QUIET_STOCK,
    SERVE,
    SERVE_BCRYPT,
    SQUID,
    STOCK,
    STOCK_BCRYPT,
    Contender,
    Site,
)
from .machine import cores, filesystem
from .origin import Origin
from .proxying import Turn, take_turn
from .report import OUT, Report, Row, at_least, ratio
from .setting import NAME, PASSWORD, add_account, configuration, use_htpasswd, write_htpasswd
from .tools import Missing, find

METHOD = """\
Each turn starts the contender afresh, sends one request, loads it for 1 s to warm up and then for \
{seconds} s with {connections} keep-alive connections of wrk (absolute-form GET with \
Proxy-Authorization and a fixed User-Agent; the reply has 400 octets), then with one connection \
("alone"). Stock mitmdump with bcrypt gets one both times, which keeps its core just as busy. \
The contender has core {core} to itself; nginx, wrk and the evidence collector share core {other}. \
"Full enforcement" is the shipped config/ with an argon2id account, robots.txt enforced, lists, \
all limits asked (and never reached), and every record flushed to disk ({disk}) before its request \
goes on. Standard output goes to /dev/null; -q silences both sides alike. Every reply was 200 and \
every request has both records, or there would be no figures. {turns} turns, A B C A B C …"""

RATIOS = (
    (ADDON, STOCK, 0.80),
    (QUIET_ADDON, QUIET_STOCK, 0.80),
    (SERVE, STOCK, 1.25),
    (SERVE, QUIET_STOCK, 1.25),
    (ADDON_BCRYPT, STOCK_BCRYPT, 50.0),
    (SERVE_BCRYPT, STOCK_BCRYPT, 50.0),
)


def run(quick: bool) -> Report:
    report = Report("proxy", "")
    seconds, turns = (2, 2) if quick else (5, 5)
    try:
        _traffic(report, seconds, turns)
    except Missing as missing:
        for of, to, _ in RATIOS:
            report.missing[f"{of} ÷ {to}"] = str(missing)
    report.rows += decision.rows(turns=2 if quick else 7)
    report.method = "\n".join((report.method, connections.METHOD, workers.METHOD,
                               decision.METHOD)).strip()
    return report


def _traffic(report: Report, seconds: int, turns: int) -> None:
    if not hasattr(os, "sched_setaffinity"):
        raise Missing("needs Linux, to give a process a core and to read what it used")
    available = cores()
    if len(available) < 2:
        raise Missing("needs two cores, one of them for the proxy alone")
    core, other = available[0], available[1]
    find("wrk")
    contenders = [each for each in CONTENDERS if _is_there(each, report)]
    OUT.mkdir(parents=True, exist_ok=True)
    # beside the clone and not in /tmp, which may be memory: flushing to that costs nothing
    folder = Path(tempfile.mkdtemp(prefix="proxy-", dir=OUT))
    try:
        origin = Origin(folder / "nginx", other)
        with origin.running:
            site = _site(folder, origin.port)
            client = Client(origin.url, NAME, PASSWORD, other)
            found: dict[str, list[Turn]] = {each.name: [] for each in contenders}
            for number in range(turns):
                for index, each in enumerate(contenders):
                    here = folder / f"{number}-{index}"
                    found[each.name].append(take_turn(
                        each, site, client, here, core=core, other_core=other, seconds=seconds))
                    shutil.rmtree(here)
            connections.measure(report, site, client, folder, core=core, other_core=other,
                                seconds=seconds, turns=turns)
            workers.measure(report, site, client, folder, core=core, other_core=other,
                            seconds=seconds, turns=turns)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.method = METHOD.format(seconds=seconds, connections=CONNECTIONS, core=core, other=other,
                                  disk=filesystem(OUT), turns=turns)
    report.raw = {name: [asdict(turn) for turn in each] for name, each in found.items()}
    report.rows = _rows(found) + report.rows


def _is_there(contender: Contender, report: Report) -> bool:
    if contender.name == SQUID:
        try:
            find("squid")
        except Missing as missing:
            report.missing[SQUID] = str(missing)
            return False
    return True


def _site(folder: Path, origin_port: int) -> Site:
    site = Site(folder / "config", folder / "bcrypt", write_htpasswd(folder / "htpasswd"))
    for config in (site.config, site.bcrypt_config):
        configuration(config, origin_port)
    add_account(site.config)
    use_htpasswd(site.bcrypt_config, site.htpasswd)
    return site


def _rows(found: dict[str, list[Turn]]) -> list[Row]:
    rates = {name: [turn.load.rate for turn in turns] for name, turns in found.items()}
    rows = [ratio(f"{of} ÷ {to}", rates[of], rates[to], at_least(bound))
            for of, to, bound in RATIOS]
    for name, turns in found.items():
        rows.append(Row(f"{name}: rate", "requests/s", rates[name]))
        rows.append(Row(f"{name}: processor", "µs/request",
                        [turn.cpu / turn.load.requests * 1e6 for turn in turns]))
        if any(turn.collector_cpu for turn in turns):
            rows.append(Row(f"{name}: collector", "µs/request",
                            [turn.collector_cpu / turn.load.requests * 1e6 for turn in turns]))
        for percentile in ("p50", "p99"):
            rows.append(Row(f"{name}: {percentile}, loaded", "ms",
                            [getattr(turn.load, percentile) / 1e3 for turn in turns]))
            rows.append(Row(f"{name}: {percentile}, alone", "ms",
                            [getattr(turn.alone, percentile) / 1e3 for turn in turns]))
        rows.append(Row(f"{name}: memory", "MiB", [turn.memory / 2**20 for turn in turns]))
    return rows

