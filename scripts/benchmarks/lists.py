"""Destinations: compiled lists of two sizes, compiling them, URL patterns, and Squid beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import lists_hosts, lists_names, lists_squid, lists_swap, lists_worker
from .report import OUT, Report, Row, at_most, ratio
from .tools import Missing
from .turns import interleaved

METHOD = """\
{large:,} made-up names in the shapes of published lists, with {networks:,} networks, are parsed \
from plain text and compiled by a process of its own. Another opens what came of it, and is asked \
for hosts of one to five labels: "hit" for names on the list and below them, "miss" for others of \
the same shapes, and addresses; {asked:,} different ones of each, {turns} turns, the two sizes \
taking turns. Its memory is what it has more after 100,000 look-ups than before opening; private \
is what it shares with nobody, while a second process serves from the same files, as workers do. \
A swap: `outbounds serve` on one core is pointed at another generation of the large list, while \
wrk keeps {connections} connections busy; a task on its event loop sleeps for 1 ms again and \
again and notes how late it is woken. Patterns are asked for URLs that are all different. Squid \
loads names of which none is below another, each with a leading dot, and is asked for one of them \
every 5 ms while it reloads; so is this product while its compiled list is exchanged. In memory: \
a list of {memory:,} entries kept by hand. "new" hosts and addresses are seen for the first time, \
others are remembered."""


def run(quick: bool) -> Report:
    large, squid, turns = (100_000, 20_000, 2) if quick else (10_000_000, 1_000_000, 7)
    small, networks, patterns = 10_000, min(large, 100_000), 10_000
    report = Report("lists", METHOD.format(
        large=large, networks=networks, asked=lists_worker.ASKED, turns=turns,
        memory=lists_hosts.IN_MEMORY, connections=lists_swap.CONNECTIONS))
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lists-", dir=OUT) as where:
        folder = Path(where)
        names = lists_names.names(large)
        folders = _compiled(report, folder, names, lists_names.names(small), networks, patterns)
        _asked(report, folders, names, large, small, turns)
        _patterns(report, folders["patterns"], patterns, turns)
        _swapped(report, folder / "swap", names, turns)
        _beside_squid(report, squid, turns=1 if quick else 5)
    contenders = lists_hosts.in_memory() | lists_hosts.hosts() | lists_hosts.address_rules()
    report.rows += [Row(name, "µs", figures, at_most(3.0) if "in memory" in name else None)
                    for name, figures in interleaved(contenders, turns).items()]
    return report


# --- a worker -------------------------------------------------------------------------------------

_WORKER = (sys.executable, "-P", "-m", lists_worker.__name__)


def _worker(*arguments: object) -> tuple[Any, float]:
    """What it says, and the most memory it had, in MiB. Raises CalledProcessError."""
    command = [*_WORKER, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return json.loads(said), used.ru_maxrss / 1024


@contextmanager
def _holding(*arguments: object) -> Iterator[None]:
    """Another process has the same files open, as the other workers of a proxy do."""
    with subprocess.Popen([*_WORKER, "hold", *map(str, arguments)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.stdin.close()
            process.wait(30)


# --- the parts ------------------------------------------------------------------------------------

def _compiled(report: Report, folder: Path, names: Path, few_names: Path, networks: int,
              patterns: int) -> dict[str, str]:
    """The folders of the generations: large, small, patterns."""
    network_list, pattern_list = folder / "networks.txt", folder / "patterns.txt"
    network_list.write_text("".join(f"{each}\n" for each in lists_names.networks(networks)))
    pattern_list.write_text("".join(f"pattern {each}\n"
                                    for each in lists_names.patterns(patterns)))
    found = {}
    for size, lists in (("large", (names, "domains", network_list, "netset")),
                        ("small", (few_names, "domains")), ("patterns", (pattern_list, "rules"))):
        started = time.perf_counter()
        made, memory = _worker("compile", *lists, folder)
        seconds = time.perf_counter() - started
        found[size] = made["folder"]
        if size == "large":
            report.rows += [Row("compiling the large list, with parsing it", "s", [seconds],
                                at_most(60.0)),
                            Row("compiling the large list, most memory", "MiB", [memory],
                                at_most(1.5 * 1024))]
        elif size == "patterns":
            report.rows.append(Row(f"compiling {patterns:,} patterns", "s", [seconds]))
    on_disk = sum(path.stat().st_size for path in Path(found["large"]).iterdir())
    report.rows.append(Row("compiled large list, on disk", "MiB", [on_disk / 2**20]))
    return found


def _asked(report: Report, folders: dict[str, str], names: Path, large: int, small: int,
           turns: int) -> None:
    with _holding(folders["large"], names, large):
        found, _ = _worker("ask", folders["large"], folders["small"], names, large, turns)
    memory, figures = found["memory"], found["figures"]
    report.rows += [
        Row("opening the large list", "ms", found["open"], at_most(50.0)),
        Row("verifying it: every digest, in a thread", "s", [found["verify"]]),
        Row("memory, private", "MiB", [memory["private"]], at_most(40.0)),
        Row("memory, share of what is shared included", "MiB", [memory["pss"]]),
        Row("memory, resident", "MiB", [memory["rss"]])]
    for size, entries in (("large", large), ("small", small)):
        for what in ("hit", "miss", "address"):
            medians, slowest = zip(*figures[f"{size} {what}"], strict=True)
            named = f"look-up, {what}, {entries:,} names"
            report.rows.append(Row(named, "µs", medians,
                                   at_most(5.0) if size == "large" else None))
            if size == "large":
                report.rows.append(Row(f"{named}, 99th percentile", "µs", slowest, at_most(20.0)))
    for what in ("hit", "miss"):
        of, to = ([median for median, _ in figures[f"{size} {what}"]]
                  for size in ("large", "small"))
        report.rows.append(ratio(f"look-up, {what}, {large:,} ÷ {small:,} names", of, to,
                                 at_most(1.5)))


def _patterns(report: Report, folder: str, count: int, turns: int) -> None:
    found, _ = _worker("patterns", folder, turns)
    medians, slowest = zip(*found["figures"], strict=True)
    report.rows += [
        Row(f"new URL against {count:,} patterns, its canonical form included", "µs", medians,
            at_most(5.0)),
        Row("new URL against patterns, 99th percentile", "µs", slowest),
        Row("memory of the patterns, private", "MiB", [found["memory"]])]


def _swapped(report: Report, folder: Path, names: Path, turns: int) -> None:
    try:
        lists_swap.add_rows(report, folder, names, turns)
    except Missing as missing:
        report.missing["swap of the large list under load"] = str(missing)


def _beside_squid(report: Report, size: int, turns: int) -> None:
    listed = lists_names.apart(size)
    # not below build: Squid gives up root, and must reach its files
    folder = Path(tempfile.mkdtemp(prefix="outbounds-bench-"))
    folder.chmod(0o711)
    try:
        squid = lists_squid.squid(folder / "squid", listed, turns)
        ours = lists_squid.product(folder / "outbounds", listed, turns)
    except Missing as missing:
        report.missing["beside Squid"] = str(missing)
        return
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for what, unit, scale in (("ready", "s", 1.0), ("memory", "MiB", 1.0), ("gap", "ms", 1e3)):
        meaning = {"ready": "from start to the first reply", "memory": "share of memory",
                   "gap": "longest time without a reply while the list is exchanged"}[what]
        theirs, own = getattr(squid, what), getattr(ours, what)
        report.rows += [Row(f"{size:,} names, {meaning}, Squid", unit, [theirs * scale]),
                        Row(f"{size:,} names, {meaning}, outbounds serve", unit, [own * scale]),
                        Row(f"{size:,} names, {meaning}, Squid ÷ outbounds serve", "×",
                            [theirs / own])]
