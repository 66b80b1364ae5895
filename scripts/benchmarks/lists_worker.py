"""One process that does one thing with lists, and says in JSON what it took.

    compile FILE FORMAT [FILE FORMAT …] FOLDER    parse lists and compile them, as the build does
    ask FOLDER SMALL_FOLDER NAMES SIZE TURNS      open a generation and ask it
    hold FOLDER NAMES SIZE                        the same, to share it until standard input ends
    patterns FOLDER TURNS

It is not the process that shows the figures, because memory and time are to be its own.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from outbounds.core.hit import Terms
from outbounds.lists.compiled import Generation, compile_lists, verify, write_part
from outbounds.lists.reading import ListReader

from .lists_names import addresses, hits, misses, urls

ASKED = 20_000
_ALL = 100_000  # look-ups before memory is measured
_TERMS = {name: Terms(name, "P-content") for name in ("names", "networks", "patterns")}


def compile_files(*arguments: str) -> dict[str, object]:
    *lists, folder = arguments
    with tempfile.TemporaryDirectory(dir=folder) as parts:
        made = {}
        for file, form in zip(lists[::2], lists[1::2], strict=True):
            name = Path(file).stem.partition("-")[0]
            made[name] = Path(parts, name)
            write_part(made[name], ListReader(Path(file), file, form, max_octets=1 << 30))
        return {"folder": str(compile_lists(made, Path(folder)))}


def memory() -> dict[str, float]:
    """In MiB: private to this process, its share of everything, and what is resident."""
    found: dict[str, int] = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, size = line.split()[:2]
        found[name.rstrip(":")] = int(size)
    return {"private": (found["Private_Clean"] + found["Private_Dirty"]) / 1024,
            "pss": found["Pss"] / 1024, "rss": found["Rss"] / 1024}


def _questions(names: str, size: str) -> dict[str, list[object]]:
    return {"hit": hits(Path(names), int(size), ASKED), "miss": misses(ASKED),
            "address": addresses(ASKED)}


def _open(folder: str) -> Generation:
    return Generation.open(Path(folder), _TERMS)


def _ask_all(generation: Generation, questions: dict[str, list[object]]) -> None:
    asked = 0
    while asked < _ALL:
        for hosts in questions.values():
            for host in hosts:
                generation.match(host, 443, "https", "")
            asked += len(hosts)


def timed(call: Callable[..., object], questions: Sequence[tuple[object, ...]]
          ) -> tuple[float, float]:
    """Median and 99th percentile in µs."""
    gc.collect()
    times = []
    for question in questions:
        started = perf_counter()
        call(*question)
        times.append(perf_counter() - started)
    return median(times) * 1e6, quantiles(times, n=100)[98] * 1e6


def ask(folder: str, small_folder: str, names: str, size: str, turns: str) -> dict[str, object]:
    questions = _questions(names, size)
    gc.collect()
    before = memory()
    generation = _open(folder)
    _ask_all(generation, questions)
    after = memory()
    opened = []
    for _ in range(int(turns)):
        started = perf_counter()
        _open(folder)
        opened.append((perf_counter() - started) * 1e3)
    started = perf_counter()
    verify(Path(folder))
    verified = perf_counter() - started
    # the small list is asked for its own names, so that as many of them hit
    small = _questions(str(Path(names).with_name("names-10000.txt")), "10000")
    figures: dict[str, list[tuple[float, float]]] = {}
    small_generation = _open(small_folder)
    for turn in range(int(turns) + 1):
        for size_name, matcher, theirs in (("large", generation, questions),
                                           ("small", small_generation, small)):
            for what, hosts in theirs.items():
                found = timed(matcher.match, [(host, 443, "https", "/page/one") for host in hosts])
                if turn:
                    figures.setdefault(f"{size_name} {what}", []).append(found)
    return {"memory": {name: after[name] - before[name] for name in after}, "open": opened,
            "verify": verified, "size": generation.size, "figures": figures}


def hold(folder: str, names: str, size: str) -> dict[str, object]:
    generation = _open(folder)
    _ask_all(generation, _questions(names, size))
    print(json.dumps({}), flush=True)
    sys.stdin.read()
    return {}


def patterns(folder: str, turns: str) -> dict[str, object]:
    before = memory()
    generation = _open(folder)
    asked = [(host, 443, "https", path) for host, path in urls(ASKED)]
    figures = [timed(generation.match, asked) for _ in range(int(turns) + 1)][1:]
    return {"memory": memory()["private"] - before["private"], "figures": figures}


COMMANDS: dict[str, Callable[..., dict[str, object]]] = {
    "compile": compile_files, "ask": ask, "hold": hold, "patterns": patterns}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
