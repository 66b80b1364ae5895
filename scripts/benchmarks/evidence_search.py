"""How long a search of a sealed log takes.

    python -m benchmarks.evidence_search DIR        a log that `evidence_corpus` made, with indexes
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from time import perf_counter

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.seal import load_seal
from outbounds.evidence.keeper.indexing import build, without_index
from outbounds.evidence.search import Endpoint, Query, Search, Summary, Target, search

from .report import Row, at_most

OF = 10_000_000
MARGIN = 300_000_000  # µs: the complaint's ± 5 minutes
URL = "/offers"
NOWHERE = "/no-such-part"
ROOT = Path(__file__).resolve().parents[2]

METHOD = """\
Searches of a sealed log of a day, its files in the page cache as after a first search, DuckDB \
loaded; the checksum of every index used is compared each time. "complaint" is for egress address \
and port, target, ±5 minutes, with the records themselves fetched; "an account's day" is for \
everything of an account of middling size, as a table has it; "URL part" looks through the paths \
of all records, and ends early where it finds enough. "shell" is the whole command `outbounds \
evidence search`, with its start, for the complaint. Bounds are for 10,000,000 records."""


def rows(directory: Path, turns: int = 5) -> list[Row]:
    """`directory` is a log that nobody writes to; indexes that are missing are made first. Raises
    RuntimeError for a search that does not find what there is."""
    seals = [str(each.seal) for each in without_index(directory)]
    if seals:
        build(seals)
    chance = random.Random(1)
    records, octets = _size(directory)
    bound = records >= OF
    some = _some(directory)
    times: dict[str, list[float]] = {"complaint": [], "account": [], "url": [], "shell": []}
    nowhere: list[float] = []
    found: dict[str, int] = {}
    for turn in range(turns + 1):
        event = chance.choice(some)
        for name, what in _searches(directory, event).items():
            took, found[name] = _timed(what)
            if not found[name]:
                raise RuntimeError(f"{name}: {event.id} was not found again")
            if turn:
                times[name].append(took)
        took, none = _timed(lambda: Search(directory, Query(url=NOWHERE)).count())
        if none:
            raise RuntimeError(f"{NOWHERE} was found {none} times")
        if turn:
            nowhere.append(took)
    return [
        Row(f"search, {records:,} records: complaint", "s", times["complaint"],
            at_most(0.2) if bound else None),
        Row(f"an account's day, {found['account']:,} events", "s", times["account"],
            at_most(0.5) if bound else None),
        Row("URL part over all, the first 1,000", "s", times["url"],
            at_most(3.0) if bound else None),
        Row("URL part that is nowhere, over all", "s", nowhere, at_most(3.0) if bound else None),
        Row("complaint, from the shell", "s", times["shell"]),
        Row("index", "octets a record", [octets / records]),
    ]


def _searches(directory: Path, event: Summary) -> dict[str, Callable[[], int]]:
    """Each gives how many events it found."""
    complaint = Query(
        egress=Endpoint(ip_network(event.egress_ip), event.egress_port),
        target=Target(event.target), since=event.begin - MARGIN, until=event.begin + MARGIN)

    def summaries(query: Query, limit: int | None = None) -> int:
        return len(list(Search(directory, query).summaries(limit)))

    return {
        "complaint": lambda: len(list(search(directory, complaint))),
        "account": lambda: summaries(Query(account=event.account)),
        "url": lambda: summaries(Query(url=URL), 1000),
        "shell": lambda: _shell(directory, complaint),
    }


def _timed(what: Callable[[], int]) -> tuple[float, int]:
    began = perf_counter()
    count = what()
    return perf_counter() - began, count


def _some(directory: Path) -> list[Summary]:
    """Events to complain of: they have an egress port, and an account that is neither the largest
    nor among the smallest: about 2,500 events where there are 10,000,000 records."""
    found = [each for number in range(200, 300, 10)
             for each in Search(directory, Query(account=f"acct_{number:012d}", verdict="allow"))
             .summaries(limit=200) if each.egress_port]
    if not found:
        raise RuntimeError(f"{directory}: no events of accounts of middling size; more records")
    return found


def _size(directory: Path) -> tuple[int, int]:
    """Records that are sealed, and the octets of their indexes."""
    seals = [load_seal(each.seal) for each in all_segments(directory) if each.sealed]
    return (sum(each.count for each in seals),
            sum(each.index.octets for each in seals if each.index is not None))


def _shell(directory: Path, query: Query) -> int:
    with tempfile.TemporaryDirectory(prefix="outbounds-bench-") as folder:
        config = Path(folder) / "config"
        config.mkdir()
        for name in ("outbounds.yaml", "evidence.yaml"):
            (config / name).write_bytes((ROOT / "config" / name).read_bytes())
        asked = query.described()
        done = subprocess.run(
            [sys.executable, "-m", "outbounds", "evidence", "search", "--config", str(config),
             "--log", str(directory), "--count",
             *(word for name in ("egress", "target", "since", "until")
               for word in (f"--{name}", asked[name]))],
            env={**os.environ, "PYTHONPATH": str(ROOT / "addons")}, capture_output=True, text=True,
            check=False)
    if done.returncode:
        raise RuntimeError(f"outbounds evidence search: {done.stderr}")
    return int(done.stdout)


def main() -> None:
    print(METHOD)
    for row in rows(Path(sys.argv[1]), 3):
        print(f"{row.name:48} {row.figure:12.3f} {row.unit}")


if __name__ == "__main__":
    main()
