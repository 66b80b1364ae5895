"""How long it takes to verify a log, and to prove a record of it.

    python -m benchmarks.evidence_verify DIR        a log that `evidence_corpus` made
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from time import perf_counter

from outbounds.evidence.tlog.log_tree import LogTree
from outbounds.evidence.tlog.merkle import verify_inclusion
from outbounds.evidence.verify import verify

from .machine import cores
from .report import Row, at_most

MOST = 180.0    # s for `OF` records
OF = 10_000_000
PROOFS = 200

METHOD = """\
"verify" goes over every record of the sealed log: frames decompressed, each record hashed, its \
detail held against its hash, the tree compared with every signed root, on one core and on \
{cores}; "of 10,000,000" is what that comes to for so many. "a proof" is one of {proofs}, of \
random records, its verification included, after the log was opened once."""


def method() -> str:
    return METHOD.format(cores=len(cores()), proofs=PROOFS)


def rows(directory: Path, turns: int = 1) -> list[Row]:
    """`directory` is a log that nobody writes to. Raises ValueError for one that is not what was
    signed."""
    alone, together, opened, proved = [], [], [], []
    records = 0
    for turn in range(turns):
        for times, processes in ((alone, 1), (together, len(cores()))):
            began = perf_counter()
            report = verify(directory, [], processes=processes)
            times.append(perf_counter() - began)
            if not report.ok:
                raise ValueError(f"{directory}: {report.findings[0].text}")
            records = report.signed
        began = perf_counter()
        tree = LogTree.open(directory)
        opened.append((perf_counter() - began) * 1e3)
        proved.append(_proofs(tree, turn))
    whole = f"{records:,} records"
    return [
        Row(f"verify, one core, {whole}", "s", alone),
        Row(f"verify, {len(cores())} cores, {whole}", "s", together,
            at_most(MOST) if records >= OF else None),
        Row("verify, of 10,000,000", "s", [each * OF / records for each in together],
            at_most(MOST)),
        Row("opening a log for proofs", "ms", opened),
        Row("a proof", "µs", proved),
    ]


def _proofs(tree: LogTree, seed: int) -> float:
    """µs each."""
    chance = random.Random(seed)
    positions = [chance.randrange(tree.size) for _ in range(PROOFS)]
    began = perf_counter()
    for at in positions:
        verify_inclusion(tree.leaf(at), at, tree.size, tree.inclusion(at), tree.checkpoint.root)
    return (perf_counter() - began) / PROOFS * 1e6


def main() -> None:
    print(method())
    for row in rows(Path(sys.argv[1]), 3):
        print(f"{row.name:48} {row.figure:12.2f} {row.unit}")


if __name__ == "__main__":
    main()
