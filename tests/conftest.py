"""In which order the files run: those that wait beside those that compute.

A wire test waits, for a process to start or a time-out to pass; a table test uses a processor. One
kind after the other, three at a time would be too few for the first and too many for the second.
`scripts/test` keeps this order (`--no-loadscope-reorder`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

WAITS = {"wire", "cli"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    here = Path(__file__).parent
    waiting = [path for path in files if path.relative_to(here).parts[0] in WAITS]
    others = [path for path in files if path not in set(waiting)]
    # at the same pace through both, the waiting ones a little ahead: the last must not be long ones
    places = [(number / len(waiting), path) for number, path in enumerate(waiting)]
    places += [(number / len(others) + 0.02, path) for number, path in enumerate(others)]
    items[:] = [item for _, path in sorted(places) for item in files[path]]
