"""The task "index": sealed segments that have no index get one.

It is made in a process of its own, whose memory (DuckDB's) ends with it, as a fault of its own
does: a segment is as good without its index, only slower to search.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from ..archive.layout import Segment, all_segments
from ..archive.seal import load_seal, save_seal
from ..child import module
from .task import KeeperFault, Keeping


def run(keeping: Keeping) -> None:
    """Raises KeeperFault, BadSeal, OSError."""
    missing = without_index(keeping.directory)
    keeping.status["indexed"] = keeping.status["unindexed"] = 0
    if missing:
        words, environment = module("keeper.indexing", *(str(each.seal) for each in missing))
        done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, umask=0o077,
                              check=False)
        left = without_index(keeping.directory)
        keeping.status["indexed"], keeping.status["unindexed"] = len(missing) - len(left), len(left)
        if done.returncode or left:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise KeeperFault(f"{len(left)} segments have no index yet and are searched slowly; "
                              f"making it ended with status {done.returncode} and said: {said}")


def without_index(directory: Path) -> list[Segment]:
    """The sealed segments whose records are here and have no index. Raises BadSeal, OSError."""
    found = []
    for segment in all_segments(directory):
        if segment.sealed:
            seal = load_seal(segment.seal)
            if seal.index is None and (segment.folder / seal.records.name).exists():
                found.append(segment)
    return found


def build(seals: list[str]) -> int:
    """Make the indexes of the segments with these seals, each of which then names it; exit status
    1 if one could not be made, and standard error says why."""
    from ..archive.index import build_index

    status = 0
    for path in map(Path, seals):
        try:
            segment, seal = Segment(path.parent, path.stem), load_seal(path)
            save_seal(path, msgspec.structs.replace(seal, index=build_index(segment, seal)))
        except Exception as error:  # of whatever kind: the others can have theirs
            sys.stderr.write(f"{path}: {type(error).__name__}: {error}\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(build(sys.argv[1:]))
